"""One stage of the data engine in a process of its own: how long it takes, and how much memory."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bike.errors import BikeError
from bike.workers.worker import Worker

# Stage -> the folders it makes, below the folder that a run is given.
STAGES = {"extract": ("frames",), "annotate": ("lists",), "shard": ("shards/train", "shards/test")}
SHARD_MB = 0.4  # some twenty tiny videos; a shard of 512 MB holds a hundred of 10 s
_LIMIT_SECONDS = 600.0
_LOOK_SECONDS = 0.1


def run_stage(stage: str, root: Path, *, jobs: int, repeats: int = 1) -> tuple[float, float]:
    """Run a stage on the data below ``root`` in a fresh process, ``repeats`` times.

    Returns:
        Seconds of the fastest run, with the start of its helper processes, without imports; and the highest resident
        memory of the process and of each helper, added up, in MiB.
    """
    # A fresh process: the kernel's peak never falls, so what an earlier stage took would count for this one.
    with Worker() as worker:
        seconds, peak_mib = worker.call(_measure_stage, stage, root, jobs, repeats, timeout_seconds=_LIMIT_SECONDS)
    return seconds, peak_mib


def _measure_stage(stage: str, root: Path, jobs: int, repeats: int) -> tuple[float, float]:
    work = _prepare(stage, root, jobs)
    best = float("inf")
    with watched_memory() as memory:
        for _ in range(repeats):
            for name in STAGES[stage]:
                shutil.rmtree(root / name, ignore_errors=True)
            start = time.perf_counter()
            work()
            best = min(best, time.perf_counter() - start)
    return best, memory.peak_mib


def _prepare(stage: str, root: Path, jobs: int) -> Callable[[], object]:
    """Import what a stage needs, and bind it to its folders."""
    if stage == "extract":
        from bike.extract.run import extract_videos
        from bike.params import Extract

        return partial(extract_videos, root / "videos", root / "frames", jobs=jobs, options=Extract(), strict=True)
    if stage == "annotate":
        from bike.annotate.run import annotate

        return partial(annotate, "folders", root / "videos", root / "frames/manifest.csv", root / "lists")
    from bike.shard.run import write_shards

    def shard() -> None:
        for split in ("train", "test"):
            place = root / "lists" / f"{split}.csv"
            write_shards(place, root / "frames", root / "shards" / split, max_size_mb=SHARD_MB, jobs=jobs)

    return shard


@dataclass(slots=True)
class _Memory:
    """Highest resident memory of this process and its descendants: each one's own peak, added up over those alive."""

    peak_mib: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Look now and then, until ``done`` is set; the kernel remembers the peaks in between."""
        while True:
            total = 0.0
            for process in _family(os.getpid()):
                with suppress(BikeError):  # it has ended since
                    total += process_mib("VmHWM", process)
            self.peak_mib = max(self.peak_mib, total)
            if self.done.wait(_LOOK_SECONDS):
                return


@contextmanager
def watched_memory() -> Iterator[_Memory]:
    """Watch this process and its helpers while the block runs.

    Raises:
        BikeError: not on Linux.
    """
    memory = _Memory(process_mib("VmHWM"))
    watcher = threading.Thread(target=memory.watch, daemon=True)
    watcher.start()
    try:
        yield memory
    finally:
        memory.done.set()
        watcher.join()


def _family(process: int) -> Iterator[int]:
    """A process and all its descendants."""
    yield process
    with suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from _family(int(child))


def process_mib(key: str, process: int | str = "self") -> float:
    """A figure that the Linux kernel keeps of a process, in MiB; 0 for one that has just ended.

    Not ``getrusage``: after a fork its peak begins at the parent's.

    Args:
        key: ``VmRSS`` for what the process holds now, ``VmHWM`` for the most it ever held.
        process: its number.

    Raises:
        BikeError: not on Linux, or no such process.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise BikeError(f"memory: needs /proc/{process}/status, which only Linux has.") from error
    match = re.search(rf"{key}:\s*(\d+) kB", status)
    return int(match[1]) / 1024 if match else 0.0
