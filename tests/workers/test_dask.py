"""The same work on a Dask cluster: a real scheduler, two worker processes, one of which is killed on the way."""

from __future__ import annotations

import json
import math
import operator
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from helpers.shards import contents, make_data
from helpers.videos import digests, make_video, overwrite

from bike.errors import BikeError
from bike.extract.journal import JOURNAL_NAME
from bike.extract.run import extract_videos
from bike.files import existing_file
from bike.shard.run import write_shards
from bike.workers.dask import run_on_dask
from bike.workers.worker import DiedError, TimedOutError

pytest.importorskip("distributed")
# Dask's own clean-up is not ours to judge.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
NUM_VIDEOS = 16


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "DASK_DISTRIBUTED__WORKER__USE_FILE_LOCKING": "False"}
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def worker(address: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    options = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder))
    with started("distributed.cli.dask_worker", address, *options) as process:
        yield process


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a scheduler without workers."""
    file = tmp_path_factory.mktemp("scheduler") / "scheduler.json"
    options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    with started("distributed.cli.dask_scheduler", *options) as process:
        while not file.exists() or not file.read_text().rstrip().endswith("}"):
            if process.poll() is not None:
                pytest.fail("the Dask scheduler did not start")
            time.sleep(0.05)
        yield json.loads(file.read_text())["address"]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(NUM_VIDEOS):
        make_video(folder / f"{number:02d}.mp4", 60, width=160, height=96)
    overwrite(folder / "03.mp4", folder / "broken.mp4", 0.5, 0.2)
    (folder / "text.mp4").write_text("no video")
    return folder


def wait_for_workers(address: str, count: int) -> None:
    import distributed

    with distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=120)


def test_one_of_two_workers_is_killed(scheduler: str, videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with worker(scheduler, tmp_path / "one"), worker(scheduler, tmp_path / "two") as victim:
        wait_for_workers(scheduler, 2)
        killed_at: list[int] = []

        def kill_when_under_way() -> None:
            journal = out / JOURNAL_NAME
            while not journal.exists() or journal.read_bytes().count(b"\n") < 4:
                time.sleep(0.005)
            killed_at.append(journal.read_bytes().count(b"\n"))
            victim.kill()

        killer = threading.Thread(target=kill_when_under_way)
        killer.start()
        records = extract_videos(videos, out, scheduler=scheduler)
        killer.join()
        assert killed_at
        assert victim.wait() == -9
    assert len(records) == NUM_VIDEOS + 2
    extract_videos(videos, tmp_path / "here", jobs=2)
    assert digests(out) == digests(tmp_path / "here")


def test_shards_on_two_workers_one_of_which_is_killed(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data(tmp_path, [10] * 60)
    with worker(scheduler, tmp_path / "one"), worker(scheduler, tmp_path / "two") as victim:
        wait_for_workers(scheduler, 2)
        notes_at: list[int] = []

        def kill_when_under_way() -> None:
            while not (notes := list((tmp_path / "out/.bike-work").glob("*.tar.json"))):
                time.sleep(0.002)
            notes_at.append(len(notes))
            victim.kill()

        killer = threading.Thread(target=kill_when_under_way)
        killer.start()
        monkeypatch.chdir(tmp_path)  # the workers are elsewhere
        done = write_shards("train.csv", "frames", "out", max_size_mb=0.02, scheduler=scheduler)
        killer.join()
        assert victim.wait() == -9
    here = write_shards("train.csv", "frames", "here", max_size_mb=0.02, jobs=1)
    assert here == done
    assert notes_at[0] < done.shards
    assert contents(tmp_path / "out") == contents(tmp_path / "here")


def test_a_crash_costs_one_task_and_a_fault_of_all_stops(scheduler: str, tmp_path: Path) -> None:
    with worker(scheduler, tmp_path / "one"):
        tasks = [partial(math.factorial, 5), partial(os.abort), partial(time.sleep, 600), partial(math.factorial, 6)]
        outcomes = {
            str(outcome.task): outcome
            for outcome in run_on_dask(operator.call, tasks, scheduler=scheduler, timeout_seconds=2)
        }
        values = [outcomes[str(task)].value for task in tasks]
        assert values == [120, None, None, 720]
        errors = [type(outcomes[str(task)].error) for task in tasks]
        assert errors == [type(None), DiedError, TimedOutError, type(None)]
        with pytest.raises(BikeError, match="no such file"):
            list(
                run_on_dask(
                    operator.call,
                    [partial(existing_file, str(tmp_path / "none"))],
                    scheduler=scheduler,
                    timeout_seconds=60,
                )
            )


def test_no_worker_and_no_scheduler(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bike.workers.dask.PATIENCE_SECONDS", 0.5)
    with pytest.raises(BikeError, match="has no worker"):
        list(run_on_dask(str, [1], scheduler=scheduler, timeout_seconds=60))
    with pytest.raises(BikeError, match=r"nonsense://x: not the address of a scheduler"):
        list(run_on_dask(str, [1], scheduler="nonsense://x", timeout_seconds=60))
    with pytest.raises(BikeError, match=r"tcp://127.0.0.1:1: no Dask scheduler answers"):
        list(run_on_dask(str, [1], scheduler="tcp://127.0.0.1:1", timeout_seconds=60))
