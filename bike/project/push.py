"""``bike push``: results to the remote, and the proof in a scratch clone that a pull restores all of them.

`dvc push` takes a folder for complete where the remote has its listing, so after a push that was killed, or where an
object was lost, it calls the two "in sync"; and `dvc pull` takes what it gets for what it should be, unless the
remote's configuration says ``verify = true``: without it a damaged model passes as "up to date".
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

from bike.errors import BikeError, ParamsError, first_few, one_line
from bike.files import ensure_dir
from bike.project.tools import DVC, call


class Pushed(NamedTuple):
    """What `bike push` found and did."""

    objects: int  # that a clone gets
    mended: int  # of these, what `dvc push` had left out or the remote had damaged, sent again
    configured: str | None  # the file of DVC's configuration that says from now on that pulls compare checksums


def push_project(folder: Path, remote: str | None = None) -> Pushed:
    """Push what is committed, and the run cache; then see to it that a clone of the commit gets all of it back.

    The remote's configuration says ``verify = true`` afterwards.

    Args:
        folder: the project's, or any other with a DVC repository around it.
        remote: its name; None for the default.

    Raises:
        BikeError: no git or DVC repository, no remote, results that are not committed, or objects that neither the
            remote nor this machine's cache has.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(folder)) as repo, tempfile.TemporaryDirectory(prefix="bike-push-") as scratch:
            return _push(repo, remote or repo.config["core"].get("remote"), Path(scratch))
    except DvcException as error:
        raise BikeError(f"{folder}: {one_line(error)}.") from error


def _push(repo: Any, remote: str | None, scratch: Path) -> Pushed:
    root = Path(repo.root_dir)
    if remote is None or remote not in repo.config["remote"]:
        found = "no default DVC remote" if remote is None else f"no DVC remote {remote!r}"
        raise ParamsError(f"{root}: {found}. Add one: `dvc remote add --default NAME URL`.")
    status = call(root, "git", "status", "--porcelain", "--", "*dvc.lock", "*dvc.yaml", "*.dvc")
    if changed := [line.strip() for line in status.splitlines()]:
        raise BikeError(f"{root}: a clone has what is committed, and this is not: {first_few(changed, 3)}. Commit it.")
    if not any(path.is_file() for path in (root / "dvc.lock", *root.rglob("*.dvc"))):
        raise BikeError(f"{root}: no results yet, so there is nothing to push. Run `dvc repro`, and commit dvc.lock.")
    in_git = _cache_files_of_git(repo)
    call(root, *DVC, "push", "--run-cache", "--remote", remote)  # with --quiet it would keep some errors to itself
    _send(repo, remote, in_git)
    checked = {**repo.config["remote"][remote], "verify": True}
    clone = _clone(root, {**repo.config["remote"], remote: checked}, scratch)
    wanted = {info.value for hashes in repo.used_objs().values() for info in hashes}
    lacking = wanted - _pull(clone, remote, scratch)
    _send(repo, remote, lacking)
    if absent := sorted(lacking - _pull(clone, remote, scratch) if lacking else ()):
        raise BikeError(
            f"{remote}: {len(absent)} of {len(wanted)} objects can't be restored, nor sent from here: "
            f"{first_few(absent, 3)}. Run `dvc repro`, or `bike push` on the machine that made them."
        )
    return Pushed(len(wanted), len(lacking), _verify_pulls(repo, remote))


def _verify_pulls(repo: Any, remote: str) -> str | None:
    """Have every pull compare checksums; the file that was changed for it, None where it said so already."""
    if repo.config["remote"][remote]["verify"]:
        return None
    level = "repo" if remote in repo.config.load_one("repo")["remote"] else "local"
    with repo.config.edit(level) as config:
        config["remote"].setdefault(remote, {})["verify"] = True
    return str(Path(repo.config.files[level]).relative_to(repo.root_dir))


def _clone(root: Path, remotes: dict[str, Any], scratch: Path) -> Path:
    """A clone of the last commit, with a cache of its own and the same remotes."""
    from dvc.config import Config

    top = Path(call(root, "git", "rev-parse", "--show-toplevel").strip())
    call(scratch, "git", "clone", "--quiet", str(top), "clone")
    clone = scratch / "clone" / root.resolve().relative_to(top.resolve())
    # The commit need not name the remote, and credentials may lie in the local configuration.
    with Config(str(clone / ".dvc")).edit("local") as config:
        config["remote"] = remotes
        config["cache"]["dir"] = str(ensure_dir(scratch / "cache"))
    return clone


def _pull(clone: Path, remote: str, scratch: Path) -> set[str]:
    """Pull in the clone; the checksums of all objects that it has then. What it does not get is no error here."""
    # Of its own as well: what DVC remembers of a remote's content between its runs.
    place = {**os.environ, "DVC_SITE_CACHE_DIR": str(scratch / "site")}
    words = (*DVC, "pull", "--quiet", "--run-cache", "--force", "--remote", remote)
    subprocess.run(words, cwd=clone, capture_output=True, check=False, env=place)
    return {f"{path.parent.name}{path.name}" for path in (scratch / "cache/files/md5").glob("??/*")}


def _cache_files_of_git(repo: Any) -> set[str]:
    """Note the stages whose outputs git holds in the run cache, which DVC leaves out; the checksums of these outputs.

    A second project has no commit to take such files from: without the note it would run the stage. Stages that are not
    up to date are passed over: their outputs are those of another command, of other parameters or inputs.
    """
    found: set[str] = set()
    with chdir(repo.root_dir), repo.lock:  # DVC looks for dvc.yaml there
        for stage in repo.index.stages:
            outs = [out for out in stage.outs if not out.use_cache]
            if outs and all(out.hash_info for out in outs) and not stage.changed():
                repo.stage_cache.save(stage)
                found |= {out.hash_info.value for out in outs}
    return found


def _send(repo: Any, remote: str, checksums: set[str]) -> None:
    """Send objects of this machine's cache, also in the place of damaged ones."""
    if not checksums:  # no remote is opened for nothing
        return
    local, there = repo.cache.local, repo.cloud.get_remote_odb(remote)
    for checksum in sorted(checksums, key=lambda name: name.endswith(".dir")):  # listings last: they vouch for the rest
        path = Path(local.oid_to_path(checksum))
        if path.is_file():
            there.add(str(path), local.fs, checksum, check_exists=False)
