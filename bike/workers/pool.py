"""Run one function over many tasks in helper processes; a task that hangs or crashes costs only itself."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Generator, Iterable, Sized
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from typing import Any, Generic, TypeVar, cast

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

    def get(self) -> Value:
        """The value, for callers to whom no task may fail.

        Raises:
            BikeError: the process was killed from outside, or had no memory left.
            Exception: what the function raised.
        """
        if isinstance(self.error, (DiedError, MemoryError)):
            raise BikeError(
                f"A helper process ended too early ({one_line(self.error)}). Run again, with fewer --jobs."
            ) from self.error
        if self.error is not None:
            raise self.error
        return cast(Value, self.value)


def run_tasks(
    function: Callable[[Item], Value],
    tasks: Iterable[Item],
    *,
    jobs: int | None = None,
    timeout_seconds: float | None = None,
) -> Generator[Outcome[Item, Value], None, None]:
    """Run ``function(task)`` for each task, several at a time.

    Args:
        function: of a module, so that another process can import it.
        tasks: picklable. They are taken as processes become free, so that memory does not grow with their number.
        jobs: processes; None: one per core.
        timeout_seconds: for each task; None: no limit, for work that neither hangs nor crashes. One process or one
            task then needs no helper: everything happens in this process.

    Yields:
        Outcomes as they come, in no order. Errors: ``TimedOutError``, ``DiedError``, or what the function raised.

    Raises:
        BikeError: the function raised one; it concerns every task (a full disk), so the rest is not tried.
    """
    jobs = max(1, jobs or num_cores())
    if isinstance(tasks, Sized):
        jobs = min(jobs, len(tasks))
    if jobs <= 1 and timeout_seconds is None:
        for task in tasks:
            yield _outcome(partial(function, task), task)
        return
    limit = math.inf if timeout_seconds is None else timeout_seconds
    waiting = iter(tasks)
    running: dict[Worker, Item] = {}
    workers = [Worker() for _ in range(jobs)]
    try:
        idle = list(workers)
        while True:
            while idle and (new := next(waiting, None)) is not None:
                worker = idle.pop()
                try:
                    worker.submit(function, new, timeout_seconds=limit)
                except DiedError as error:
                    idle.append(worker)
                    yield Outcome(new, None, error)
                    continue
                running[worker] = new
            if not running:
                return
            for worker in _finished(running):
                task = running.pop(worker)
                idle.append(worker)
                yield _outcome(worker.result, task)
    finally:  # however this generator is left: at its end, by an error, or closed by its caller
        for worker in workers:
            worker.kill()


def _finished(running: dict[Worker, Any]) -> list[Worker]:
    """Workers whose task ended or is overdue; waits for the first."""
    while True:
        patience = min(worker.deadline for worker in running) - time.monotonic()
        wait([worker.connection for worker in running], min(max(0.0, patience), _LONGEST_WAIT_SECONDS))
        # What woke us up may have been the word that a task begins: only its time limit starts then.
        if done := [worker for worker in running if worker.is_done()]:
            return done


def _outcome(call: Callable[[], Value], task: Item) -> Outcome[Item, Value]:
    try:
        return Outcome(task, call())
    except BikeError:
        raise
    except Exception as error:  # handed on as the task's outcome
        return Outcome(task, None, error)


def describe_failure(error: Exception, timeout_seconds: float) -> str:
    """The reason, for people, why a task has no value."""
    if isinstance(error, TimedOutError):
        return f"timed out after {timeout_seconds:g} s"
    if isinstance(error, DiedError):
        return f"its helper process ended early ({error})"
    return f"unexpected {type(error).__name__}: {error}"


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
