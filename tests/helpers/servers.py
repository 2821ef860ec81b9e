"""HTTP servers on loopback that fail as real ones do, and an S3 store."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest

from bike.files import download

QUICK = {"pause_seconds": 0.001, "timeout_seconds": 5.0}


class Server:
    """Serves a folder on loopback; ``fault(name, number)`` may spoil the given request for a file (counted from 0).

    Faults: an HTTP status, `to URL` for a redirect, or some of the words below in one text (``cut, no length``).

    Attributes:
        requests: name and Range header of each request.
        paths: of each request.
    """

    def __init__(self, folder: Path, certificate: Path | None = None) -> None:
        self.folder = folder
        self.requests: list[tuple[str, str | None]] = []
        self.paths: list[str] = []
        self.fault: Callable[[str, int], str | None] = lambda name, number: None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rsplit("/", 1)[-1]
                asked = self.headers.get("Range")
                fault = outer.fault(name, sum(seen == name for seen, _ in outer.requests)) or ""
                outer.requests.append((name, asked))
                outer.paths.append(self.path)
                path = outer.folder / name
                if fault.startswith("to "):
                    self.send_response(302)
                    self.send_header("Location", fault.removeprefix("to "))
                    self.end_headers()
                    return
                if fault.isdecimal():
                    self.send_error(int(fault))
                    return
                if not path.is_file():
                    self.send_error(404)
                    return
                body = path.read_bytes()
                start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
                if "no ranges" in fault:
                    start = 0
                if start and start >= len(body):
                    self.send_error(416)
                    return
                self.send_response(206 if start or "part" in fault else 204 if "no file" in fault else 200)
                if start:
                    first = start + 5 if "another range" in fault else start
                    self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
                body = body[start:]
                if "other bytes" in fault:
                    body = body[:100] + bytes(50) + body[150:]
                if "endless" in fault:
                    body += bytes(1 << 16)
                if "no length" not in fault:
                    self.send_header("Content-Length", "9" * 5000 if "long length" in fault else str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if "cut" in fault else body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread.start()
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self._server.server_port}/data/shards"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def count(self, name: str) -> int:
        return sum(seen == name for seen, _ in self.requests)


@contextmanager
def secure_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A :class:`Server` of a folder behind HTTPS, whose certificate (written there) downloads believe."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    certificate = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    (folder / "certificate").write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "certificate"))
    download._opener.cache_clear()  # made with the certificates of this machine
    server = Server(folder, folder / "certificate")
    try:
        yield server
    finally:
        server.close()
        download._opener.cache_clear()


@contextmanager
def drip() -> Iterator[str]:
    """The address of a server that sends a byte every 20 ms and never ends."""
    ended = threading.Event()

    class Drip(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            while not ended.wait(0.02):
                try:
                    self.wfile.write(b"x")
                except OSError:
                    return

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Drip)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def use_s3(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Let ``s3://`` addresses lead to a store."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    download._s3_client.cache_clear()  # it remembers the store of an earlier test


@contextmanager
def s3_store(folder: Path, log: Path) -> Iterator[str]:
    """The endpoint of a store in a process of its own; the files of ``folder`` lie at ``s3://videos/some/where``."""
    import boto3

    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )
        client.create_bucket(Bucket="videos")
        for path in folder.iterdir():
            client.upload_file(str(path), "videos", f"some/where/{path.name}")
        client.close()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
