"""What DVCLive is asked to do for training curves."""

import gc
import subprocess
from pathlib import Path

import pytest

from bike.errors import BikeError
from bike.train.curves import Curves


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC repository whose git objects are packed, as after a clone."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (
        ["init", "--quiet"],
        ["add", "."],
        ["commit", "--quiet", "--message", "first"],
        ["gc", "--quiet"],
    ):
        subprocess.run([*git, *arguments], cwd=tmp_path, check=True)
    assert list((tmp_path / ".git" / "objects" / "pack").glob("*.pack"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def open_packs() -> list[str]:
    names = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            names.append(str(link.readlink()))
        except FileNotFoundError:  # the descriptor of this very listing
            continue
    return [name for name in names if "/objects/pack/" in name]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="lists open files through /proc")
@pytest.mark.parametrize("ended", [True, False], ids=["ended", "interrupted"])
def test_no_file_of_the_git_repository_stays_open(repository: Path, ended: bool) -> None:
    before = open_packs()
    curves = Curves(repository / "train")
    curves.add(0, {"train/loss": 1.0})
    if ended:
        curves.close()
    assert open_packs() == before
    del curves
    gc.collect()  # an open pack is a warning here, and a warning an error


def test_a_repository_without_a_commit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BikeError, match="Make a first commit"):
        Curves(tmp_path / "train")
