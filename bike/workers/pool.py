"""Run one function over many tasks in helper processes; a task that hangs or crashes costs only itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, Generic, TypeVar

from bike.errors import BikeError
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
