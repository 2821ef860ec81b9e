"""Several processes of one stage: one line and one exit status, and none that outlives its launcher."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.places import ROOT

# What a stage does: join, work until it is asked to stop, and end as the signal would have ended it.
WORK = """
import os, sys, time
from pathlib import Path
from bike.runtime.checkpoint import StopRequest
from bike.cli import guarded
from bike.runtime.distributed import join_world, wait_for_all

def work():
    with join_world(device="cpu") as world, StopRequest() as stop:
        (Path(sys.argv[1]) / str(os.getpid())).touch()
        while not stop.requested:
            time.sleep(0.05)
        stop.interrupt()

sys.exit(guarded(work))
"""
LAUNCH = """
import sys
from bike.cli import guarded
from stages import _torchrun
sys.exit(guarded(lambda: _torchrun(["--standalone", "--nproc-per-node", "2", *sys.argv[1:]])))
"""

# What training does with a loader whose workers are busy; each worker has said who it is.
LOAD = """
import os, sys, time
from pathlib import Path
from types import SimpleNamespace
from bike.data.reader import BatchReader

class Views:
    sample_bytes = 1

    def __call__(self, *_):
        (Path(sys.argv[1]) / str(os.getpid())).touch()
        time.sleep(1000)

list(BatchReader([SimpleNamespace(key="a", path="a")] * 2, None, Views(), 2).batches([(0, [0]), (0, [1])]))
"""


@pytest.mark.parametrize(
    ("whom", "number", "status", "said"),
    [
        ("group", signal.SIGTERM, 143, "Stopped."),
        ("launcher", signal.SIGTERM, 143, "Stopped."),
        ("launcher", signal.SIGKILL, -9, ""),
        ("process", signal.SIGKILL, 1, "Error: launch: a process was killed (signal 9)"),
    ],
)
def test_signals_to_a_launch(tmp_path: Path, whom: str, number: int, status: int, said: str) -> None:
    (tmp_path / "work.py").write_text(WORK, encoding="utf-8")
    (tmp_path / "pids").mkdir()
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, str(tmp_path / "work.py"), str(tmp_path / "pids")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        pids = wait_for_pids(tmp_path / "pids", launcher)
        target = {"group": -launcher.pid, "launcher": launcher.pid, "process": pids[0]}[whom]
        os.kill(target, number)
        _, errors = launcher.communicate(timeout=120)
        assert launcher.returncode == status, errors
        assert errors.startswith(said)
        assert errors.count("\n") == bool(said), errors
        wait_for_end(pids)
    finally:
        end([launcher.pid, *(int(path.name) for path in (tmp_path / "pids").iterdir())])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends processes with their parent")
def test_loader_workers_end_with_a_training_that_is_killed(tmp_path: Path) -> None:
    training = subprocess.Popen(
        [sys.executable, "-c", LOAD, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    pids: list[int] = []
    try:
        pids = wait_for_pids(tmp_path, training)
        assert all(map(alive, pids))
        training.kill()
        training.wait()
        wait_for_end(pids)
    finally:
        end([training.pid, *pids])


def wait_for_end(pids: list[int]) -> None:
    deadline = time.monotonic() + 30
    while any(map(alive, pids)):
        assert time.monotonic() < deadline, "a process outlives its launcher"
        time.sleep(0.1)


def end(pids: list[int]) -> None:
    for pid in filter(alive, pids):
        os.kill(pid, signal.SIGKILL)


def wait_for_pids(folder: Path, launcher: subprocess.Popen[str]) -> list[int]:
    while len(pids := [int(path.name) for path in folder.iterdir()]) < 2:
        assert launcher.poll() is None, "the launch ended early"
        time.sleep(0.1)
    return pids


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
