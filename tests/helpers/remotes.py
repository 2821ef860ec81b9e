"""DVC remotes of three kinds, each on this machine: a folder, an S3 store, a folder behind SSH."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers.projects import run_in
from helpers.servers import free_port, s3_store

BUCKET = "videos"


class Remote:
    """A place for objects that tests may look into and spoil; ``settings`` are those of the DVC remote."""

    def __init__(self, url: str, folder: Path, settings: dict[str, str]) -> None:
        self.url, self.folder, self.settings = url, folder, settings

    def add_to(self, project: Path) -> None:
        run_in(project, "dvc", "remote", "add", "--quiet", "--default", "store", self.url)
        for name, value in self.settings.items():
            run_in(project, "dvc", "remote", "modify", "store", name, value)

    def objects(self) -> list[str]:
        """Checksums of the files, without the listings of folders."""
        names = (path.parent.name + path.name for path in (self.folder / "files/md5").glob("??/*"))
        return sorted(name for name in names if not name.endswith(".dir"))

    def has(self, name: str) -> bool:
        return self._path(name).exists()

    def lose(self, name: str) -> None:
        self._path(name).unlink()

    def damage(self, name: str) -> None:
        """Other bytes, and all else as it was: DVC believes a file that it has made read-only."""
        path = self._path(name)
        path.chmod(0o644)
        path.write_bytes(b"x" * path.stat().st_size)
        path.chmod(0o444)

    def _path(self, name: str) -> Path:
        return self.folder / "files/md5" / name[:2] / name[2:]


class Bucket(Remote):
    def __init__(self, url: str, client: Any) -> None:
        super().__init__(url, Path(), {})
        self.client, self.prefix = client, f"{url.removeprefix(f's3://{BUCKET}/')}/files/md5/"

    def objects(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=self.prefix).get("Contents", [])
        names = (entry["Key"].removeprefix(self.prefix).replace("/", "") for entry in found)
        return sorted(name for name in names if not name.endswith(".dir"))

    def has(self, name: str) -> bool:
        return name in self.objects()

    def lose(self, name: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=self._key(name))

    def damage(self, name: str) -> None:
        self.client.put_object(Bucket=BUCKET, Key=self._key(name), Body=b"x")

    def _key(self, name: str) -> str:
        return f"{self.prefix}{name[:2]}/{name[2:]}"


@contextmanager
def remote_server(kind: str, folder: Path) -> Iterator[dict[str, str]]:
    """What a remote of a kind needs: settings of the DVC remote, or for S3 the endpoint."""
    folder.mkdir()
    if kind == "s3":
        pytest.importorskip("moto")
        pytest.importorskip("dvc_s3")
        (folder / "empty").mkdir()
        with s3_store(folder / "empty", folder / "log") as endpoint:
            yield {"endpoint": endpoint}
    elif kind == "ssh":
        pytest.importorskip("dvc_ssh", reason="dvc-ssh is not installed (the extra `ssh`)")
        with _ssh_server(folder) as settings:
            yield settings
    else:
        yield {}


@contextmanager
def _ssh_server(folder: Path) -> Iterator[dict[str, str]]:
    """OpenSSH on loopback for this user alone, with keys of its own."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if program is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no OpenSSH server here (`apt install openssh-server`)")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # which sshd of root insists on, and a service would have made
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    port = free_port()
    lines = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "key.pub",
        "PidFile": "none",
        "StrictModes": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "MaxStartups": 100,
        "Subsystem": "sftp internal-sftp",
    }
    (folder / "config").write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([program, "-D", "-e", "-f", str(folder / "config")], stderr=log)
    try:
        while b"Server listening" not in (folder / "log").read_bytes():
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.02)
        yield {"user": getpass.getuser(), "port": str(port), "keyfile": str(folder / "key")}
    finally:
        server.terminate()
        server.wait()


@contextmanager
def make_remote(kind: str, settings: dict[str, str], folder: Path) -> Iterator[Remote]:
    """An empty remote on a server of :func:`remote_server`; ``folder`` is a new one."""
    if kind != "s3":
        yield Remote(str(folder) if kind == "folder" else f"ssh://127.0.0.1{folder}", folder, settings)
        return
    import boto3

    # Where it is, and with which keys, is told by variables, as on a cluster.
    client = boto3.client("s3", endpoint_url=settings["endpoint"])
    try:
        yield Bucket(f"s3://{BUCKET}/{folder.parent.name}", client)
    finally:
        client.close()
