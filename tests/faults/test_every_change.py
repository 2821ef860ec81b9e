"""A power cut or a disk error at a change on disk: one line, and the same command again ends as if nothing had been."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from helpers.places import ROOT
from helpers.runs import Run, runs
from helpers.tiny_commands import COMMANDS, MERGES

from bike.errors import BikeError
from bike.files.disk import FAULT
from bike.runtime.checkpoint import save_state

NONE = "0:kill"
HELPED = ("extract", "shard", "merged_frames", "merged_shards")  # whose helper processes may end alone
ERRORS = ("ENOSPC", "EIO", "EROFS")
MAKERS = COMMANDS | MERGES
ALL = os.environ.get("BIKE_FAULTS") == "all"  # `make faults`
TIMES = re.compile(r".*\.provenance\.json|\.extract\.jsonl|\.bike-.*")  # seconds, times of files and records of ours


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with runs() as run:
        yield run


def files_of(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder by its path; content only where it is to be the same in each run."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {
        name: path.read_bytes() if path.is_file() and not TIMES.fullmatch(path.name) else None
        for name, path in paths.items()
        if name != "count"
    }


@dataclass
class Case:
    """A command, its inputs (with a file of somebody else's where it writes), and what an undisturbed run leaves."""

    words: list[str]
    inputs: Path
    whole: dict[str, bytes | None]
    changes: int


def make_case(name: str, folder: Path, run: Run) -> Case:
    words = MAKERS[name](folder / "inputs")
    (folder / "inputs/out").mkdir(exist_ok=True)
    (folder / "inputs/out/keep.txt").write_text("somebody else's")
    shutil.copytree(folder / "inputs", folder / "whole")
    done = run(words, folder / "whole", NONE)
    assert done.status == 0, done.errors
    return Case(words, folder / "inputs", files_of(folder / "whole"), (folder / "whole/count").stat().st_size)


def faults(name: str, total: int) -> list[tuple[int, str]]:
    """Changes and what happens at each: its end and an error at all of them, or a few in the suite."""
    turn, helped = list(MAKERS).index(name), name in HELPED
    if ALL:
        kinds = ("kill", *["crash"] * helped)
        return [(n, kind) for n in range(1, total + 1) for kind in (*kinds, ERRORS[(n + turn) % 3])]
    some = [(total - 2, "kill") if turn % 2 else (total // 2, ERRORS[turn // 2 % 3])]
    return some + [(total // 2, "crash")] * helped


@pytest.mark.timeout(0)  # each run has its own
@pytest.mark.parametrize("name", MAKERS)
def test_a_fault_at_a_change_costs_nothing(tmp_path: Path, run: Run, name: str) -> None:
    case = make_case(name, tmp_path, run)
    # What parts wrote is taken into the merged result.
    inputs = {file: content for file, content in files_of(case.inputs).items() if "/.bike-parts" not in file}
    total = case.changes
    assert inputs.items() <= case.whole.items()
    assert len(case.whole) > len(inputs)
    for number, kind in faults(name, total):
        folder = case.inputs.with_name(f"{number}-{kind}")
        shutil.copytree(case.inputs, folder)
        done = run(case.words, folder, f"{number}:{kind}")
        status, said = done.status, done.errors
        where = f"change {number} of {total}, {kind}: {said}"
        assert "Traceback" not in said, where
        if kind == "kill" or (kind == "crash" and status < 0):
            assert status == -signal.SIGKILL, where
        elif status:  # what only tidies up may fail in silence
            assert status == 1, where
            assert sum(line.startswith("Error") for line in said.splitlines()) == 1, where
        assert inputs.items() <= files_of(folder).items(), where
        again = run(case.words, folder, NONE)
        assert again.status == 0 or "has finished work" in again.errors, f"{where}; again: {again.errors}"
        assert files_of(folder) == case.whole, where
        shutil.rmtree(folder)
    print(f"{name}: {total} changes")  # noqa: T201 (`make faults` shows it)


def test_a_full_disk_within_torch_save_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.save hides the reason behind one of its own."""
    monkeypatch.setenv(FAULT, f"2:ENOSPC:{tmp_path / 'count'}")
    with pytest.raises(BikeError, match=r"a\.pt: can't be written \(No space left on device\)"):
        save_state(tmp_path / "a.pt", {"large": torch.zeros(1 << 19)})
    assert [path.name for path in tmp_path.iterdir()] == ["count"]


# Files of these change the disk by themselves.
OWN = {
    "bike/files/disk.py": "is the one place",
    "bike/files/lock.py": "lock files, which hold nothing",
    "bike/bench": "scratch folders of benchmarks",
    "bike/cli.py": "a scratch folder of one launch, and /dev/null",
    "stages/__init__.py": "the same folder",
    "bike/project/init.py": "a new project, which is made beside its place and renamed when it is whole",
    "bike/project/push.py": "a scratch clone",
    "bike/demo/run.py": "a temporary folder of the system",
    "bike/files/download.py": "a cache, whose files are checked whenever they are read",
    "bike/frames/remote.py": "the same cache",
    "bike/model/formats/fetch.py": "makes the folder of the same cache",
    "bike/workers/beside.py": "/dev/null",
    "bike/predict/draw.py": "a film, into the file that atomic_write opened",
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
