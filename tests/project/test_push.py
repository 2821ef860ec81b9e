"""Results in a remote: pushed by one, restored by another where nothing runs; lost or damaged objects are found."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.projects import run_in
from helpers.servers import s3_store, use_s3

from bike.errors import BikeError
from bike.project.push import push_project
from bike.project.tools import call

SCRIPT = """from pathlib import Path
Path("out").mkdir()
for number in range(30):
    Path(f"out/{number}").write_text(f"{Path('word').read_text()} {number}")
"""
STAGE = f"stages:\n  make:\n    cmd: {sys.executable} make.py\n    deps: [make.py, word]\n    outs: [out]\n"
IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@example.org")


def make_repository(folder: Path, url: str, text: str = "one") -> Path:
    """A DVC repository with a stage whose folder of 30 files is made and committed, and a remote."""
    folder.mkdir()
    call(folder, "git", "init", "--quiet")
    run_in(folder, "dvc", "init", "--quiet")
    for name, content in {"make.py": SCRIPT, "dvc.yaml": STAGE, "word": text}.items():
        (folder / name).write_text(content)
    run_in(folder, "dvc", "repro", "--quiet")
    run_in(folder, "dvc", "remote", "add", "--quiet", "--default", "store", url)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    call(folder, "git", "add", "--all")
    call(folder, "git", *IDENTITY, "commit", "--quiet", "--message", "results")


def check_clone(project: Path, clone: Path) -> None:
    """A fresh clone pulls, has equal files, and runs nothing, not even where dvc.lock has gone."""
    call(project.parent, "git", "clone", "--quiet", str(project), str(clone))
    run_in(clone, "dvc", "pull", "--quiet", "--run-cache")
    files = {path.name: path.read_bytes() for path in (project / "out").iterdir()}
    assert {path.name: path.read_bytes() for path in (clone / "out").iterdir()} == files
    (clone / "dvc.lock").unlink()
    assert "Running stage" not in run_in(clone, "dvc", "repro")


def objects(store: Path) -> list[Path]:
    return sorted(path for path in (store / "files/md5").glob("??/*") if path.suffix != ".dir")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "project", str(tmp_path / "store"))


def test_a_clone_of_what_was_pushed_runs_nothing(project: Path, tmp_path: Path) -> None:
    assert push_project(project) == (31, 0)  # 30 files and their listing
    check_clone(project, tmp_path / "clone")
    assert push_project(project) == (31, 0)


def test_what_dvc_push_takes_for_complete_is_sent_again(project: Path, tmp_path: Path) -> None:
    push_project(project)
    lost, damaged, *_ = objects(tmp_path / "store")
    content = damaged.read_bytes()
    lost.unlink()
    damaged.chmod(0o644)
    damaged.write_bytes(b"x" * len(content))
    run_in(project, "dvc", "push", "--quiet")
    assert not lost.exists()  # the reason for all this
    assert push_project(project) == (31, 3)  # with the folder's listing, which DVC takes with all of its files only
    assert damaged.read_bytes() == content
    check_clone(project, tmp_path / "clone")

    # Lost here as well, so the listing can't be restored either: one line, and the remote keeps what it has.
    lost.unlink()
    (project / ".dvc/cache/files/md5" / lost.parent.name / lost.name).unlink()
    with pytest.raises(BikeError, match=r"store: 2 of 31 objects can't be restored"):
        push_project(project)
    assert len(objects(tmp_path / "store")) == 29


def test_a_push_that_was_killed_is_completed(project: Path, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-m", "dvc", "push", "--jobs", "1"], cwd=project) as process:
        while process.poll() is None and not list((tmp_path / "store").glob("files/md5/*/*")):
            time.sleep(0.001)
        process.kill()
    assert push_project(project)[0] == 31
    check_clone(project, tmp_path / "clone")


def test_two_clones_may_push_at_once(project: Path, tmp_path: Path) -> None:
    other = make_repository(tmp_path / "other", str(tmp_path / "store"), "two")
    words = [sys.executable, "-m", "bike.cli", "push"]
    running = [
        subprocess.Popen(words, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for place in (project, other)
    ]
    for process in running:
        said, _ = process.communicate()
        assert process.returncode == 0, said
        assert "a clone gets all 31 objects" in said
    for place in (project, other):
        check_clone(place, tmp_path / f"clone-{place.name}")


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    pytest.importorskip("moto")
    pytest.importorskip("dvc_s3")
    (tmp_path / "empty").mkdir()
    with s3_store(tmp_path / "empty", tmp_path / "log") as endpoint:
        use_s3(monkeypatch, endpoint)
        yield "s3://videos/cache"


def test_the_same_on_s3(s3: str, tmp_path: Path) -> None:
    import os

    import boto3

    project = make_repository(tmp_path / "project", s3)
    assert push_project(project) == (31, 0)
    check_clone(project, tmp_path / "clone")
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    keys = [found["Key"] for found in client.list_objects_v2(Bucket="videos", Prefix="cache/files/")["Contents"]]
    lost, damaged, *_ = [key for key in keys if not key.endswith(".dir")]
    client.delete_object(Bucket="videos", Key=lost)
    client.put_object(Bucket="videos", Key=damaged, Body=b"x")
    client.close()
    assert push_project(project) == (31, 3)
    check_clone(project, tmp_path / "again")


def test_what_stops_a_push_is_one_line(project: Path, tmp_path: Path) -> None:
    with pytest.raises(BikeError, match=r"no such DVC remote \(got 'elsewhere'\)"):
        push_project(project, "elsewhere")
    with (project / "dvc.lock").open("a") as file:
        file.write("# edited\n")
    with pytest.raises(BikeError, match=r"a clone has what is committed, and this is not: M dvc\.lock"):
        push_project(project)
    with pytest.raises(BikeError, match="not inside of a DVC repository"):
        push_project(tmp_path)
