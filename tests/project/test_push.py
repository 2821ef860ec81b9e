"""Results in a remote: pushed by one, restored by another where nothing runs; lost or damaged objects are found."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.projects import commit, git, run_in
from helpers.remotes import Remote

from bike.errors import BikeError
from bike.project.push import push_project

SCRIPT = """from pathlib import Path
Path("out").mkdir()
for number in range(30):
    Path(f"out/{number}").write_text(f"{Path('word').read_text()} {number}")
"""
STAGE = f"stages:\n  make:\n    cmd: {sys.executable} make.py\n    deps: [make.py, word]\n    outs: [out]\n"


def make_repository(folder: Path, remote: Remote, text: str = "one") -> Path:
    """A DVC repository with a stage whose folder of 30 files is made and committed, and a remote."""
    folder.mkdir()
    git(folder, "init", "--quiet")
    run_in(folder, "dvc", "init", "--quiet")
    for name, content in {"make.py": SCRIPT, "dvc.yaml": STAGE, "word": text}.items():
        (folder / name).write_text(content)
    run_in(folder, "dvc", "repro", "--quiet")
    remote.add_to(folder)
    commit(folder)
    return folder


def contents(project: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project / "out").iterdir()}


def check_clone(project: Path, clone: Path) -> None:
    """A fresh clone pulls, has equal files, and runs nothing, not even where dvc.lock has gone."""
    git(project.parent, "clone", "--quiet", str(project), str(clone))
    run_in(clone, "dvc", "pull", "--quiet", "--run-cache")
    assert contents(clone) == contents(project)
    (clone / "dvc.lock").unlink()
    assert "Running stage" not in run_in(clone, "dvc", "repro")


@pytest.fixture
def project(remote: Remote, tmp_path: Path) -> Path:
    return make_repository(tmp_path / "project", remote)


def test_a_clone_of_what_was_pushed_runs_nothing(project: Path, tmp_path: Path) -> None:
    assert push_project(project) == (31, 0, ".dvc/config")  # 30 files and their listing
    check_clone(project, tmp_path / "clone")
    assert push_project(project) == (31, 0, None)


def test_a_second_repository_gets_what_git_holds_as_well(project: Path, remote: Remote, tmp_path: Path) -> None:
    """The same stages and no commit in common: `dvc push` leaves outputs outside the cache to git."""
    word = (
        f"  keep:\n    cmd: {sys.executable} keep.py\n    deps: [keep.py, word]\n    outs: [kept: {{cache: false}}]\n"
    )
    (project / "keep.py").write_text("from shutil import copy\ncopy('word', 'kept')\n")
    (project / "dvc.yaml").write_text(STAGE + word)
    run_in(project, "dvc", "repro", "--quiet")
    commit(project)
    push_project(project)

    second = tmp_path / "second"
    second.mkdir()
    git(second, "init", "--quiet")
    run_in(second, "dvc", "init", "--quiet")
    for name in ("make.py", "keep.py", "word", "dvc.yaml"):
        shutil.copy(project / name, second)
    remote.add_to(second)
    assert "Running stage" not in run_in(second, "dvc", "repro", "--pull")
    assert contents(second) == contents(project)
    assert (second / "kept").read_text() == "one"

    # What is not up to date is not noted: `dvc repro` would take the old output for the new command's.
    (project / "dvc.yaml").write_text(STAGE + word.replace("keep.py\n", "keep.py again\n"))
    commit(project)
    push_project(project)
    assert "Running stage 'keep'" in run_in(project, "dvc", "repro")


@pytest.mark.parametrize("server", ["folder", "s3", "ssh"], indirect=True)
def test_what_dvc_push_takes_for_complete_is_sent_again(project: Path, remote: Remote, tmp_path: Path) -> None:
    push_project(project)
    commit(project)
    lost, damaged, *_ = remote.objects()
    remote.lose(lost)
    remote.damage(damaged)
    run_in(project, "dvc", "push", "--quiet")
    assert not remote.has(lost)  # the reason for all this

    # Until it is mended a clone is told, and computes what it can't get: no result is a wrong one.
    clone = tmp_path / "early"
    git(tmp_path, "clone", "--quiet", str(project), str(clone))
    assert "failed to pull data from the cloud" in run_in(clone, "dvc", "pull", "--run-cache", status=1)
    assert "Running stage 'make'" in run_in(clone, "dvc", "repro")
    assert contents(clone) == contents(project)

    assert push_project(project) == (31, 3, None)  # with the listing, which DVC takes with all of its files only
    check_clone(project, tmp_path / "clone")

    # Lost here as well, so the listing can't be restored either: one line, and the remote keeps what it has.
    remote.lose(lost)
    (project / ".dvc/cache/files/md5" / lost[:2] / lost[2:]).unlink()
    with pytest.raises(BikeError, match=r"store: 2 of 31 objects can't be restored"):
        push_project(project)
    assert len(remote.objects()) == 29


@pytest.mark.parametrize("server", ["folder"], indirect=True)
def test_a_remote_of_this_machine_alone_is_configured_there(project: Path, tmp_path: Path) -> None:
    run_in(project, "dvc", "remote", "remove", "store")
    commit(project)
    run_in(project, "dvc", "remote", "add", "--local", "mine", "../mine")  # from the folder of commands
    assert push_project(project, "mine") == (31, 0, ".dvc/config.local")
    assert push_project(project, "mine") == (31, 0, None)
    assert (tmp_path / "mine/files/md5").is_dir()
    assert git(project, "status", "--short") == ""


def test_a_push_that_was_killed_is_completed(project: Path, remote: Remote, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-m", "dvc", "push", "--jobs", "1"], cwd=project) as process:
        while process.poll() is None and not remote.objects():
            time.sleep(0.001)
        process.kill()
    assert push_project(project)[0] == 31
    check_clone(project, tmp_path / "clone")


def test_two_clones_may_push_at_once(project: Path, remote: Remote, tmp_path: Path) -> None:
    other = make_repository(tmp_path / "other", remote, "two")
    words = [sys.executable, "-m", "bike.cli", "push"]
    running = [
        subprocess.Popen(words, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for place in (project, other)
    ]
    for process in running:
        said, _ = process.communicate()
        assert process.returncode == 0, said
        assert "a clone gets all 31 objects" in said
        assert ".dvc/config: pulls compare checksums from now on" in said
    for place in (project, other):
        check_clone(place, tmp_path / f"clone-{place.name}")


@pytest.mark.parametrize("server", ["folder"], indirect=True)
def test_what_stops_a_push_is_one_line(project: Path, tmp_path: Path) -> None:
    with pytest.raises(BikeError, match=r"no DVC remote 'elsewhere'"):
        push_project(project, "elsewhere")
    run_in(project, "dvc", "remote", "add", "--local", "cloud", "oss://bucket/cache")
    with pytest.raises(BikeError, match=r"requires 'dvc-oss' to be installed"):
        push_project(project, "cloud")
    with (project / "dvc.lock").open("a") as file:
        file.write("# edited\n")
    with pytest.raises(BikeError, match=r"a clone has what is committed, and this is not: M dvc\.lock"):
        push_project(project)
    with pytest.raises(BikeError, match="not inside of a DVC repository"):
        push_project(tmp_path)
    run_in(project, "dvc", "remote", "add", "--local", "near", str(tmp_path / "near"))
    git(project, "rm", "--quiet", "--force", "dvc.lock")
    git(project, "commit", "--quiet", "--message", "before the first run")
    with pytest.raises(BikeError, match="no results yet, so there is nothing to push"):
        push_project(project, "near")
