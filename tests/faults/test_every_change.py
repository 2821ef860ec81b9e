"""A power cut or a disk error at a change on disk: one line, and the same command again ends as if nothing had been."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.annotations import write_rows
from helpers.places import ROOT
from helpers.results import write_results
from helpers.shards import make_data
from helpers.videos import make_video

from bike.extract.run import extract_videos
from bike.files.disk import FAULT
from bike.files.parts import Part
from bike.shard.run import write_shards

KINDS = ("kill", "ENOSPC", "EIO", "EROFS")
ALL = os.environ.get("BIKE_FAULTS") == "all"  # `make faults`
TIMES = re.compile(r"timing\.json|\.extract\.jsonl|\.bike-.*")  # seconds, times of files and records of ours
Words = Callable[[Path], list[str]]


def extract(folder: Path) -> list[str]:
    for name in "ab":
        make_video(folder / f"videos/{name}.mp4", 2)
    return ["extract", "videos", "out", "--jobs", "1"]


def annotate(folder: Path) -> list[str]:
    write_rows(folder / "clips.csv", [("path", "label"), ("a.mp4", "run"), ("b.mp4", "jump")])
    return ["annotate", "csv", "--source", "clips.csv", "--out", "out"]


def shard(folder: Path) -> list[str]:
    data = make_data(folder, [3] * 4)
    words = [str(path.relative_to(folder)) for path in (data.list, data.frames)]
    return ["shard", words[0], "out", "--frames", words[1], "--max-size", "20kB", "--jobs", "1"]


def merged_frames(folder: Path) -> list[str]:
    words = extract(folder)
    for number in (1, 2):
        extract_videos(folder / "videos", folder / "out", jobs=1, split=Part(number, 2))
    return [*words, "--merge"]


def merged_shards(folder: Path) -> list[str]:
    words = shard(folder)
    for number in (1, 2):
        write_shards(
            folder / words[1], folder / words[4], folder / "out", max_size_mb=0.02, jobs=1, split=Part(number, 2)
        )
    return [*words, "--merge"]


def report(folder: Path) -> list[str]:
    write_results(folder / "results")
    return ["report", "results", "--out", "out"]


def run(words: list[str], folder: Path, fault: str) -> tuple[int, str]:
    """Run a command in a process of its own, which a fault may end; its status and what it said on stderr."""
    (folder / "count").unlink(missing_ok=True)
    environment = {**os.environ, FAULT: f"{fault}:{folder / 'count'}", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "bike.cli", *words]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, start_new_session=True, check=False
    )
    return done.returncode, done.stderr


def result(folder: Path) -> dict[str, bytes]:
    out = folder / "out"
    files = (path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in files if not TIMES.fullmatch(path.name)}


def chosen(total: int) -> list[tuple[int, str]]:
    """Changes and what happens at each: all of them, or one in the middle and one near the end."""
    if ALL:
        return [(number, kind) for number in range(1, total + 1) for kind in KINDS]
    return [(total // 2, "kill"), (total - 1, "EIO")]


@pytest.mark.parametrize(
    "make", [extract, annotate, shard, merged_frames, merged_shards, report], ids=lambda make: make.__name__
)
def test_a_fault_at_a_change_costs_nothing(make: Words, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    words = make(tmp_path / "whole")
    assert run(words, tmp_path / "whole", "0:kill")[0] == 0
    whole, total = result(tmp_path / "whole"), (tmp_path / "whole/count").stat().st_size
    assert whole
    assert total > 8
    for number, kind in chosen(total):
        folder = tmp_path / f"{number}-{kind}"
        folder.mkdir()
        make(folder)
        status, said = run(words, folder, f"{number}:{kind}")
        where = f"change {number} of {total}, {kind}: {said}"
        assert "Traceback" not in said, where
        if kind == "kill":
            assert status == -signal.SIGKILL, where
        elif status:  # what only tidies up may fail in silence
            assert status == 1, where
            assert sum(line.startswith("Error") for line in said.splitlines()) == 1, where
        status, said = run(words, folder, "0:kill")
        assert status == 0, f"{where}; again: {said}"
        assert result(folder) == whole, where
        assert not list((folder / "out").rglob("*.part")), where
    print(f"{make.__name__}: {total} changes")  # noqa: T201 (`make faults` shows it)


# Files of these change the disk by themselves.
OWN = {
    "bike/files/disk.py": "is the one place",
    "bike/files/lock.py": "lock files, which hold nothing",
    "bike/bench": "scratch folders of benchmarks",
    "bike/cli.py": "a scratch folder of one launch, and /dev/null",
    "stages/__init__.py": "the same folder",
    "bike/project/init.py": "a new project, which is made beside its place and renamed when it is whole",
    "bike/demo/run.py": "a temporary folder of the system",
    "bike/files/download.py": "a cache, whose files are checked whenever they are read",
    "bike/frames/remote.py": "the same cache",
    "bike/model/formats/fetch.py": "makes the folder of the same cache",
    "bike/extract/ffmpeg.py": "a nameless temporary file",
}
CHANGES = {"unlink", "rename", "rmtree", "rmdir", "write_text", "write_bytes", "touch", "mkstemp", "mkdtemp", "mkdir"}
CHANGES |= {"makedirs", "symlink_to", "TemporaryDirectory", "TemporaryFile", "NamedTemporaryFile"}


def changes(path: Path) -> list[str]:
    """Calls in a module that change the disk."""
    found = []
    own = {name.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
           and (node.module or "").startswith("bike.files") for name in node.names}  # fmt: skip
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        modes = [a.value for a in [*node.args, *(k.value for k in node.keywords if k.arg == "mode")]
                 if isinstance(a, ast.Constant) and isinstance(a.value, str)]  # fmt: skip
        writes = name == "open" and any(re.fullmatch(r"[wax][bt+]*|r[bt]?\+[bt]?", mode) for mode in modes)
        replaces = (
            name == "replace" and isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "os"
        )
        if (name in CHANGES and name not in own) or writes or replaces:
            found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {name}")
    return found


def test_the_disk_is_changed_in_one_place() -> None:
    files = [path for name in ("bike", "stages") for path in (ROOT / name).rglob("*.py")]
    files = [path for path in files if not any(path.is_relative_to(ROOT / own) for own in OWN)]
    assert [call for path in files for call in changes(path)] == []
    assert all(changes(path) for own in OWN if (path := ROOT / own).is_file() and own != "bike/files/lock.py")
