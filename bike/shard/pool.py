"""All shards of a plan: written by helper processes, on this machine or on a Dask cluster."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from bike.errors import BikeError, DataError, first_few
from bike.files import ensure_dir, locked, sweep
from bike.progress import progress
from bike.shard.payload import PayloadSource
from bike.shard.write import WORK, ShardJob, is_whole, write_shard
from bike.video.file import VideoFile
from bike.workers.pool import Outcome, run_tasks


def wait_for_helpers(folder: Path) -> None:
    """Return when no helper of an earlier run writes into ``folder``, which the caller holds; remove what they left."""
    # Helpers may outlive a run that was killed, until their shard is done. Each holds the lock of its own shard; once
    # every lock was free, nobody writes here any more: the caller holds the folder, so no new helper can begin.
    for lock in ensure_dir(folder / WORK).glob("*.lock"):
        with locked(lock, "writing a shard", wait=True):
            pass
    sweep(folder)


def write_all(todo: Sequence[ShardJob], jobs: int | None, scheduler: str | None) -> None:
    """Write shards in helper processes, here or on the workers of a Dask scheduler.

    Raises:
        DataError: videos that can't be stored; all are counted, ten named.
        BikeError: a shard can't be written, or a worker wrote it where this machine does not see it.
    """
    problems: list[str] = []
    if not todo:
        return
    done: Generator[Outcome[ShardJob, list[str]], None, None]
    if scheduler is None:
        done = run_tasks(write_shard, todo, jobs=jobs)
    else:
        from bike.workers.dask import run_on_dask

        # A shard takes as long as it takes: unlike a decoder, nothing in it is known to hang.
        done = run_on_dask(write_shard, map(_absolute, todo), scheduler=scheduler, timeout_seconds=math.inf)
    with progress("shard", sum(len(job.shard.videos) for job in todo), unit="videos") as shown, closing(done):
        for outcome in done:
            job, bad = outcome.task, outcome.get()
            problems.extend(bad)
            if not bad and not is_whole(job, Path(job.folder)):
                raise BikeError(
                    f"{job.folder}: {job.shard.name} is not there. The folder must be the same for every machine."
                )
            shown.advance(len(job.shard.videos), f"{len(problems)} unusable" if problems else "")
    if problems:
        raise DataError(f"{len(problems)} videos can't be stored: {first_few(problems)}")


def _absolute(job: ShardJob) -> ShardJob:
    """The same job with absolute paths: a Dask worker has a working folder of its own."""

    def absolute(source: PayloadSource) -> PayloadSource:
        if isinstance(source, VideoFile):
            return replace(source, path=os.path.abspath(source.path))  # noqa: PTH100
        return os.path.abspath(source)  # noqa: PTH100

    videos = tuple(replace(video, source=absolute(video.source)) for video in job.shard.videos)
    return replace(job, shard=replace(job.shard, videos=videos), folder=os.path.abspath(job.folder))  # noqa: PTH100
