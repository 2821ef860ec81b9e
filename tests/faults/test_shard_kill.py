"""Shards: a run that is killed, interrupted or fails goes on where it stopped and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers.places import ROOT
from helpers.shards import contents, make_data

from bike.errors import BusyError, DataError
from bike.files import locked
from bike.formats.shards import read_shard_manifest
from bike.shard import write as shard_write
from bike.shard.run import write_shards
from bike.shard.verify import verify_shards

RUN = """
import sys
from bike.shard.run import write_shards
write_shards(sys.argv[1], sys.argv[2], sys.argv[3], max_size_mb=0.05, jobs=int(sys.argv[4]))
"""
# Every video takes a moment, in helper processes too (Python imports this when it starts): there is time to kill.
UNHURRIED = """
import time
from bike.shard import write as shards_write

store_video = shards_write.store_video

def unhurried(*args, **options):
    time.sleep(0.01)
    return store_video(*args, **options)

shards_write.store_video = unhurried
"""


def start(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    (folder / "run.py").write_text(RUN)
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site/sitecustomize.py").write_text(UNHURRIED)
    return subprocess.Popen(
        [sys.executable, folder / "run.py", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": f"{folder / 'site'}{os.pathsep}{ROOT}"},
    )


def test_ctrl_c_ends_cleanly_and_is_resumed(tmp_path: Path) -> None:
    data = make_data(tmp_path, [10] * 80)
    out = tmp_path / "out"
    run = start(tmp_path, data.list, data.frames, out, 2)
    while run.poll() is None and not list(out.glob("*.tar")):
        time.sleep(0.005)
    os.killpg(run.pid, signal.SIGINT)
    _, errors = run.communicate(timeout=30)
    assert run.returncode != 0
    assert "KeyboardInterrupt" in errors
    assert errors.count("Traceback") <= 1  # the parent's own; the helpers are silent
    assert not list(out.glob(".bike-*.part"))
    write_shards(data.list, data.frames, out, max_size_mb=0.05, jobs=1)
    write_shards(data.list, data.frames, tmp_path / "whole", max_size_mb=0.05, jobs=1)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_change_killed_half_way_is_finished_by_the_next_run(tmp_path: Path) -> None:
    data = make_data(tmp_path, [10] * 30)
    out = tmp_path / "out"
    write_shards(data.list, data.frames, out, max_size_mb=0.05, jobs=1)
    pack = data.frames / f"{data.samples[4].key}.mjpg"
    sound = pack.read_bytes()
    pack.write_bytes(sound[:-30] + bytes(30))
    with pytest.raises(DataError):
        write_shards(data.list, data.frames, out, max_size_mb=0.05, jobs=1)
    assert not (out / "manifest.json").exists()  # never a manifest beside shards it does not describe
    pack.write_bytes(sound)
    assert write_shards(data.list, data.frames, out, max_size_mb=0.05, jobs=1).written <= 1
    write_shards(data.list, data.frames, tmp_path / "whole", max_size_mb=0.05, jobs=1)
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["shard", "index", "manifest"])
def test_lost_or_cut_files_are_written_again(tmp_path: Path, damage: str) -> None:
    data = make_data(tmp_path, [10] * 12)
    out = tmp_path / "out"
    write_shards(data.list, data.frames, out, max_size_mb=0.05, jobs=1)
    whole = contents(out)
    if damage == "shard":
        path = sorted(out.glob("*.tar"))[0]
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "index":
        # One digit: the rows still read well, but a checksum doesn't fit.
        text = (out / "index.csv").read_text()
        (out / "index.csv").write_text(text[:-2] + str((int(text[-2]) + 1) % 10) + "\n")
    else:
        (out / "manifest.json").write_text(json.dumps(read_shard_manifest(out))[:50])
    with pytest.raises(DataError):
        verify_shards(out, jobs=1)
    write_shards(data.list, data.frames, out, max_size_mb=0.05, jobs=1)
    assert contents(out) == whole


def test_helpers_of_a_killed_run_finish_their_shard_first(tmp_path: Path) -> None:
    """What one is still writing must not be taken for a leftover."""
    data = make_data(tmp_path, [3] * 4)
    out = tmp_path / "out"
    (out / ".bike-work").mkdir(parents=True)
    half = out / ".bike-x.part"
    half.write_text("half a tar")
    run = threading.Thread(target=write_shards, args=(data.list, data.frames, out), kwargs={"jobs": 1})
    with locked(out / ".bike-work/40000.tar.lock", "writing a shard"):
        run.start()
        time.sleep(0.5)
        assert half.exists()
        assert not list(out.glob("*.tar"))
    run.join()
    assert sorted(path.name for path in out.iterdir()) == ["00000.tar", "index.csv", "manifest.json"]


def test_a_helper_holds_the_lock_of_its_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_data(tmp_path, [3] * 4)
    seen = []
    store = shard_write.store_video

    def look(*args: object, **options: object) -> object:
        with pytest.raises(BusyError), locked(tmp_path / "out/.bike-work/00000.tar.lock", "writing a shard"):
            pass
        seen.append(True)
        return store(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(shard_write, "store_video", look)
    write_shards(data.list, data.frames, tmp_path / "out", jobs=1)
    assert len(seen) == 4


def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    data = make_data(tmp_path, [3] * 4)
    out = tmp_path / "out"
    (out / ".bike-work").mkdir(parents=True)
    (out / ".bike-work/00000.tar.json").write_text('{"recipe": 1}')
    (out / ".bike-x.part").write_text("half a tar")
    (out / "fffff.tar").write_text("of another list")
    (out / ".bike-work/fffff.tar.lock").touch()
    (out / "keep.txt").write_text("not ours")
    write_shards(data.list, data.frames, out, jobs=1)
    assert sorted(path.name for path in out.iterdir()) == ["00000.tar", "index.csv", "keep.txt", "manifest.json"]


NO_SPACE = """
import resource, sys
from bike.shard.run import write_shards
from bike.errors import BikeError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # stands for a full disk
try:
    write_shards(sys.argv[1], sys.argv[2], sys.argv[3], max_size_mb=0.05, jobs=int(sys.argv[4]))
except BikeError as error:
    print(error)
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_done(tmp_path: Path, jobs: int) -> None:
    data = make_data(tmp_path, [10] * 30)
    out = tmp_path / "out"
    command = [sys.executable, "-c", NO_SPACE, *map(str, (data.list, data.frames, out, jobs))]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert "can't be written" in done.stdout
    assert not list(out.glob("*.tar"))
    assert not list(out.glob(".bike-*.part"))
    write_shards(data.list, data.frames, out, max_size_mb=0.05, jobs=1)
    assert read_shard_manifest(out)["videos"] == 30
