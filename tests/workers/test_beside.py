"""Several processes of one command line: each has its name, a failure and a stop reach all of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.places import ROOT

# Writes its name, and waits where the name says so; a stop is noted, as a training saves its state.
PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from bike.workers.beside import share_out
if not share_out("--names", int(sys.argv[1]), "{names}"):
    name = sys.argv[sys.argv.index("--names") + 1]
    def note(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(0.5)
        Path(f"{name}.stopped").touch()
        sys.exit(143)
    signal.signal(signal.SIGTERM, note)
    Path(f"{name}.txt").write_text(f"{os.getpid()} {sys.argv[-1]}")
    print("about", name, file=sys.stderr)
    if name == "bad":
        while not Path("slow.txt").exists():
            time.sleep(0.01)
        sys.exit(3)
    while name.startswith("slow"):
        time.sleep(0.01)
"""


def start(folder: Path, at_once: int, names: str, last: str = "{names}") -> subprocess.Popen[str]:
    (folder / "program.py").write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, "program.py", str(at_once), "--names", names, last],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(*paths: Path) -> None:
    while not all(path.exists() and path.read_text() for path in paths):
        time.sleep(0.01)


@pytest.mark.parametrize("at_once", [1, 3])
def test_each_name_gets_a_process_with_the_same_command_line(tmp_path: Path, at_once: int) -> None:
    process = start(tmp_path, at_once, "a  b c")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert sorted(said.splitlines()) == ["about a", "about b", "about c"]
    found = [(tmp_path / f"{name}.txt").read_text().split() for name in "abc"]
    assert len({number for number, _ in found} - {str(process.pid)}) == 3
    assert {last for _, last in found} == {"{names}"}


def test_one_name_is_done_by_the_process_itself(tmp_path: Path) -> None:
    process = start(tmp_path, 2, "a")
    process.communicate(timeout=60)
    assert (tmp_path / "a.txt").read_text() == f"{process.pid} {{names}}"


def test_several_names_need_a_place_for_each(tmp_path: Path) -> None:
    process = start(tmp_path, 2, "a b", "out")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "--names: 2 names, and no {names} in the arguments" in said
    assert not list(tmp_path.glob("*.txt"))


def test_a_failure_stops_the_others_and_is_the_status(tmp_path: Path) -> None:
    process = start(tmp_path, 2, "bad slow never")
    process.communicate(timeout=60)
    assert process.returncode == 3
    assert (tmp_path / "slow.stopped").exists()
    assert not (tmp_path / "never.txt").exists()


def test_nobody_who_reads_what_is_said_ends_nothing(tmp_path: Path) -> None:
    process = start(tmp_path, 1, "a b c")
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert sorted(path.name for path in tmp_path.glob("*.txt")) == ["a.txt", "b.txt", "c.txt"]


def test_a_process_that_was_killed_is_named(tmp_path: Path) -> None:
    process = start(tmp_path, 1, "slow never")
    wait_for(tmp_path / "slow.txt")
    os.kill(int((tmp_path / "slow.txt").read_text().split()[0]), signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 137
    assert said.endswith("--names slow: killed by SIGKILL.\n")


def test_stops_are_handed_on_and_an_impatient_one_costs_nothing(tmp_path: Path) -> None:
    process = start(tmp_path, 2, "slow slower never")
    wait_for(tmp_path / "slow.txt", tmp_path / "slower.txt")
    for _ in range(4):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert (tmp_path / "slow.stopped").exists()
    assert (tmp_path / "slower.stopped").exists()
    assert not (tmp_path / "never.txt").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_kill_takes_all_of_them(tmp_path: Path) -> None:
    process = start(tmp_path, 2, "slow slower")
    files = tmp_path / "slow.txt", tmp_path / "slower.txt"
    wait_for(*files)
    process.kill()
    process.communicate(timeout=60)
    for path in files:
        number = int(path.read_text().split()[0])
        while Path(f"/proc/{number}/stat").exists() and " Z " not in Path(f"/proc/{number}/stat").read_text():
            time.sleep(0.01)
