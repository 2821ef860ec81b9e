"""A power cut or a disk error at a change on disk: one line, and the same command again ends as if nothing had been."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from helpers.fit import run_processes
from helpers.places import ROOT
from helpers.tiny_commands import COMMANDS, MERGES

from bike.cli import build_app, guarded
from bike.errors import BikeError
from bike.files.disk import FAULT
from bike.runtime.checkpoint import Place, save_state

ERRORS = ("ENOSPC", "EIO", "EROFS")
MAKERS = COMMANDS | MERGES
ALL = os.environ.get("BIKE_FAULTS") == "all"  # `make faults`
TIMES = re.compile(r".*\.provenance\.json|\.extract\.jsonl|\.bike-.*")  # seconds, times of files and records of ours


def bike(folder: str, fault: str, *words: str) -> int:
    """In a process of its own, which a fault may end: a ``bike`` command that saves its state as often as it can."""
    os.setsid()
    os.chdir(folder)
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        del os.environ[name]
    os.environ |= {FAULT: f"{fault}:{folder}/count", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    Place.__init__.__kwdefaults__["save_every_seconds"] = 0.0
    sys.argv = ["bike", *words]
    return guarded(lambda: build_app()(standalone_mode=True))


def run(words: list[str], folder: Path, fault: str = "0:kill") -> tuple[int, str]:
    """The status of a command, and what it said on stderr."""
    (folder / "count").unlink(missing_ok=True)
    (ended,) = run_processes(1, bike, str(folder), fault, *words)
    return ended.status, ended.errors


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


def make_case(name: str, folder: Path) -> Case:
    words = MAKERS[name](folder / "inputs")
    (folder / "inputs/out").mkdir(exist_ok=True)
    (folder / "inputs/out/keep.txt").write_text("somebody else's")
    shutil.copytree(folder / "inputs", folder / "whole")
    status, said = run(words, folder / "whole")
    assert status == 0, said
    return Case(words, folder / "inputs", files_of(folder / "whole"), (folder / "whole/count").stat().st_size)


def faults(name: str, total: int) -> list[tuple[int, str]]:
    """Changes and what happens at each: two ends and an error at all of them, or a few in the suite."""
    turn = list(MAKERS).index(name)
    if ALL:
        return [(n, kind) for n in range(1, total + 1) for kind in ("kill", "crash", ERRORS[(n + turn) % 3])]
    some = [(total - 2, "kill") if turn % 2 else (total // 2, ERRORS[turn // 2 % 3])]
    return some + [(total // 2, "crash")] * (name in ("extract", "shard"))  # by helper processes


@pytest.mark.timeout(3600 if ALL else 300)
@pytest.mark.parametrize("name", MAKERS)
def test_a_fault_at_a_change_costs_nothing(tmp_path: Path, name: str) -> None:
    case = make_case(name, tmp_path)
    # What parts wrote is taken into the merged result.
    inputs = {file: content for file, content in files_of(case.inputs).items() if "/.bike-parts" not in file}
    total = case.changes
    assert inputs.items() <= case.whole.items()
    assert len(case.whole) > len(inputs)
    for number, kind in faults(name, total):
        folder = case.inputs.with_name(f"{number}-{kind}")
        shutil.copytree(case.inputs, folder)
        status, said = run(case.words, folder, f"{number}:{kind}")
        where = f"change {number} of {total}, {kind}: {said}"
        assert "Traceback" not in said, where
        if kind == "kill" or (kind == "crash" and status < 0):
            assert status == -signal.SIGKILL, where
        elif status:  # what only tidies up may fail in silence
            assert status == 1, where
            assert sum(line.startswith("Error") for line in said.splitlines()) == 1, where
        assert inputs.items() <= files_of(folder).items(), where
        status, said = run(case.words, folder)
        assert status == 0 or "has finished work" in said, f"{where}; again: {said}"
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
