"""``--dry-run``: what would be done, and nothing on disk changes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from helpers import tiny_commands
from helpers.commands import run_bike
from helpers.videos import make_video


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and folder with its time, and the bytes of files."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


def foreseen(folder: Path, words: list[str]) -> dict[str, float]:
    """The numbers of a dry run, after which all is as it was."""
    before = tree(folder)
    done = run_bike(*words, "--dry-run", "--json", cwd=folder)
    assert (done.returncode, tree(folder)) == (0, before), done.stderr
    return dict(json.loads(done.stdout))


def test_an_extraction_is_foreseen(tmp_path: Path) -> None:
    given = tiny_commands.extract(tmp_path)
    found = foreseen(tmp_path, given)
    assert {name: found[name] for name in ("new", "changed", "unchanged", "unreadable")} == {
        "new": 2, "changed": 0, "unchanged": 0, "unreadable": 0
    }  # fmt: skip
    assert found["bytes"] > 0 < found["hours"]
    run_bike(*given, cwd=tmp_path)
    make_video(tmp_path / "videos/b.mp4", 5)
    make_video(tmp_path / "videos/c.mp4", 2)
    (tmp_path / "videos/d.mp4").symlink_to("/etc/passwd")
    found = foreseen(tmp_path, given)
    assert [found[name] for name in ("new", "changed", "unchanged", "unreadable")] == [1, 1, 1, 1]
    said = run_bike(*given, "--dry-run", cwd=tmp_path).stdout
    assert re.fullmatch(
        r"videos: 1 new, 1 changed, 1 unchanged, 1 unreadable; about \S+ \w+ and less than a minute on two cores. "
        r"Nothing was written.\n",
        said,
    )


def test_what_an_extraction_would_refuse_its_dry_run_refuses(tmp_path: Path) -> None:
    given = tiny_commands.extract(tmp_path)
    run_bike(*given, cwd=tmp_path)
    before, other = tree(tmp_path), [*given, "--short-side", "16"]
    done = run_bike(*other, "--dry-run", cwd=tmp_path)
    assert (done.returncode, tree(tmp_path)) == (1, before)
    assert done.stderr.removeprefix("Error: ") in run_bike(*other, cwd=tmp_path).stderr
    assert foreseen(tmp_path, [*other, "--replace"])["changed"] == 2
    done = run_bike("extract", "videos", "videos", "--dry-run", cwd=tmp_path)
    assert (done.returncode, "videos: is read here" in done.stderr) == (1, True)


def test_shards_are_foreseen(tmp_path: Path) -> None:
    given = tiny_commands.shard(tmp_path)
    found = foreseen(tmp_path, given)
    shards = found["new"]
    assert shards > 1
    made = json.loads(run_bike(*given, "--json", cwd=tmp_path).stdout)
    assert made["written"] == shards
    assert found["bytes"] == pytest.approx(made["bytes"], rel=0.5)
    names = ("new", "changed", "unchanged", "removed")
    assert [foreseen(tmp_path, given)[name] for name in names] == [0, 0, shards, 0]
    rows = (tmp_path / "train.csv").read_text().splitlines()
    (tmp_path / "train.csv").write_text("\n".join(rows[:-1]) + "\n")
    found = foreseen(tmp_path, [*given, "--replace"])
    assert found["unchanged"] < shards
    again = json.loads(run_bike(*given, "--replace", "--json", cwd=tmp_path).stdout)
    assert again["written"] == found["new"] + found["changed"]
    assert again["shards"] == shards - found["removed"] + found["new"]


def test_a_training_does_a_step_and_says_what_it_took(tmp_path: Path) -> None:
    given = tiny_commands.train(tmp_path)
    before = tree(tmp_path)
    done = run_bike(*given, "--dry-run", cwd=tmp_path)
    assert tree(tmp_path) == before
    assert re.fullmatch(
        r"a step: [\d.e-]+ s, [01]\.\d\d GB; 2 epochs of 1 steps: less than a minute without validation. "
        r"Nothing was written.\n",
        done.stdout,
    ), done.stderr


@pytest.mark.parametrize("words", [("--part", "1/2"), ("--merge",)], ids=str)
def test_a_dry_run_is_of_the_whole(words: tuple[str, ...], tmp_path: Path) -> None:
    for make in (tiny_commands.extract, tiny_commands.shard):
        done = run_bike(*make(tmp_path / make.__name__), "--dry-run", *words, cwd=tmp_path / make.__name__)
        assert done.stderr == "Error: --dry-run: tells of the whole. Leave --part and --merge out.\n"
