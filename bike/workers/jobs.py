"""Independent jobs without a time limit, in this process or in several."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from bike.errors import BikeError, one_line
from bike.workers.pool import run_tasks

Job = TypeVar("Job")
Result = TypeVar("Result")
_TIMEOUT_SECONDS = 1e6  # nothing here can hang for another reason than the disk


def run_jobs(
    work: Callable[[Job], Result], jobs_todo: Sequence[Job], *, jobs: int | None
) -> Generator[tuple[Job, Result], None, None]:
    """Call ``work`` on every job and yield (job, result) as they finish.

    Args:
        work: a function of a module, so that another process can import it.
        jobs_todo: picklable.
        jobs: processes; None for one per core. With one process, or one job, everything happens in this process.

    Raises:
        BikeError: what ``work`` raised, or a process was killed from outside.
    """
    jobs = min(jobs or len(os.sched_getaffinity(0)), len(jobs_todo))
    if jobs <= 1:
        yield from ((job, work(job)) for job in jobs_todo)
        return
    outcomes = run_tasks(work, jobs_todo, jobs=jobs, timeout_seconds=_TIMEOUT_SECONDS)
    try:
        for outcome in outcomes:
            if outcome.error is not None or outcome.value is None:
                raise BikeError(
                    f"A helper process ended too early ({one_line(outcome.error)}). Run again, with fewer --jobs."
                ) from outcome.error
            yield outcome.task, outcome.value
    finally:
        if isinstance(outcomes, Generator):
            outcomes.close()  # ends the helpers, however this was left
