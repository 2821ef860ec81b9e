"""Run one function over many tasks in helper processes; a task that hangs or crashes costs only itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, Generic, TypeVar

from bike.errors import BikeError, one_line
from bike.workers.worker import DiedError, TimedOutError, Worker

_LONGEST_WAIT_SECONDS = 3600.0  # the system refuses to wait for weeks
Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Item, Value]):
    """What became of one task: its value, or the exception that stands for it."""

    task: Item
    value: Value | None
    error: Exception | None = None


def run_tasks(
    function: Callable[[Item], Value], tasks: Iterable[Item], *, jobs: int, timeout_seconds: float
) -> Generator[Outcome[Item, Value], None, None]:
    """Run ``function(task)`` for each task, ``jobs`` at a time, each for at most ``timeout_seconds``.

    Tasks are taken from the iterable as processes become free, so memory does not grow with their number.

    Yields:
        Outcomes as they come, in no order. Errors: ``TimedOutError``, ``DiedError``, or what the function raised.

    Raises:
        BikeError: the function raised one; it concerns every task (a full disk), so the rest is not tried.
    """
    waiting = iter(tasks)
    running: dict[Worker, Item] = {}
    workers = [Worker() for _ in range(max(1, jobs))]
    try:
        idle = list(workers)
        while True:
            while idle and (task := next(waiting, None)) is not None:
                worker = idle.pop()
                try:
                    worker.submit(function, task, timeout_seconds=timeout_seconds)
                except DiedError as error:
                    idle.append(worker)
                    yield Outcome(task, None, error)
                    continue
                running[worker] = task
            if not running:
                return
            for worker in _finished(running):
                task = running.pop(worker)
                idle.append(worker)
                yield _outcome(worker, task)
    finally:
        for worker in workers:
            worker.kill()


def _finished(running: dict[Worker, Any]) -> list[Worker]:
    """Workers whose task ended or is overdue; waits for the first."""
    while True:
        patience = min(worker.deadline for worker in running) - time.monotonic()
        wait([worker.connection for worker in running], min(max(0.0, patience), _LONGEST_WAIT_SECONDS))
        if done := [worker for worker in running if worker.is_done()]:
            return done


def _outcome(worker: Worker, task: Item) -> Outcome[Item, Any]:
    try:
        return Outcome(task, worker.result())
    except BikeError:
        raise
    except Exception as error:  # handed on as the task's outcome
        return Outcome(task, None, error)


def describe_failure(error: Exception, timeout_seconds: float) -> str:
    """The reason, for people, why a task has no value."""
    if isinstance(error, TimedOutError):
        return f"timed out after {timeout_seconds:g} s"
    if isinstance(error, DiedError):
        return f"the decoder crashed ({error})"
    return f"unexpected {type(error).__name__}: {error}"


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
