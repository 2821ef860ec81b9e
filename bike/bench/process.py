"""One stage of the data engine in a process of its own: how long it takes, and how much memory."""

from __future__ import annotations

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

STAGES = ("extract", "annotate", "shard")
SHARD_MB = 0.4  # some twenty tiny videos; a shard of 512 MB holds a hundred of 10 s
_LIMIT_SECONDS = 600.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class StageRun:
    """What one run of a stage took.

    Attributes:
        seconds: wall time, with the start of its helper processes, without imports.
        peak_mib: highest resident memory of the process and of each helper, added up.
    """

    seconds: float
    peak_mib: float


@dataclass(slots=True)
class _Memory:
    """Highest resident memory of a family of processes, in KiB: each one's own peak, added up over those alive."""

    peak_kib: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Look now and then, until ``done`` is set; the kernel remembers what happened in between."""
        while True:
            self.peak_kib = max(self.peak_kib, sum(map(_peak_kib, _family("self"))))
            if self.done.wait(_LOOK_SECONDS):
                return


def _family(process: str | int) -> Iterator[int]:
    """A process and all its descendants."""
    folder = Path(f"/proc/{process}")
    with suppress(OSError):
        yield int((folder / "stat").read_text(errors="replace").split(" ", 1)[0])
        for task in (folder / "task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))


def _peak_kib(process: int) -> int:
    with suppress(OSError):
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
        if match := re.search(r"VmHWM:\s*(\d+) kB", status):
            return int(match[1])
    return 0  # it has ended


@contextmanager
def watched_memory() -> Iterator[_Memory]:
    """Watch this process and its helpers while the block runs.

    Raises:
        BikeError: this system does not tell (only Linux does).
    """
    if not Path("/proc/self/task").is_dir():
        raise BikeError("memory: needs /proc, which only Linux has.")
    memory = _Memory()
    watcher = threading.Thread(target=memory.watch, daemon=True)
    watcher.start()
    try:
        yield memory
    finally:
        memory.done.set()
        watcher.join()


def run_stage(stage: str, root: Path, *, jobs: int, repeats: int = 1) -> StageRun:
    """Run a stage on the data below ``root`` in a fresh process, ``repeats`` times; the fastest counts."""
    with Worker() as worker:
        result: StageRun = worker.call(_measure_stage, stage, str(root), jobs, repeats, timeout_seconds=_LIMIT_SECONDS)
    return result


def _measure_stage(stage: str, root: str, jobs: int, repeats: int) -> StageRun:
    work = _prepare(stage, Path(root), jobs)
    best = float("inf")
    with watched_memory() as memory:
        for _ in range(repeats):
            for name in _outputs(stage):
                shutil.rmtree(Path(root, name), ignore_errors=True)
            start = time.perf_counter()
            work()
            best = min(best, time.perf_counter() - start)
    return StageRun(best, memory.peak_kib / 1024)


def _outputs(stage: str) -> list[str]:
    return {"extract": ["frames"], "annotate": ["lists"], "shard": ["shards/train", "shards/test"]}[stage]


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


def process_mib(key: str) -> float:
    """A figure of this process that the Linux kernel keeps, in MiB (``getrusage`` would count the parent's too).

    Args:
        key: ``VmRSS`` for what it holds now, ``VmHWM`` for the most it ever held.

    Raises:
        BikeError: not on Linux.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise BikeError("peak memory: needs /proc/self/status, which only Linux has.") from error
    match = re.search(rf"{key}:\s*(\d+) kB", status)
    if match is None:
        raise BikeError(f"peak memory: /proc/self/status has no {key}.")
    return int(match[1]) / 1024
