"""Run tasks on a Dask cluster; each still runs in a helper process with a time limit, on the cluster's machines."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar
from urllib.parse import urlsplit

from bike.errors import BikeError, one_line
from bike.workers.pool import Outcome
from bike.workers.worker import DiedError, has_module, thread_worker

log = logging.getLogger("bike")

Item = TypeVar("Item")
Value = TypeVar("Value")

CONNECT_SECONDS = 15
PATIENCE_SECONDS = 60.0  # without a single worker, before giving up
_LOOK_SECONDS = 2.0


def run_on_dask(
    function: Callable[[Item], Value],
    tasks: Iterable[Item],
    *,
    scheduler: str,
    timeout_seconds: float,
) -> Generator[Outcome[Item, Value], None, None]:
    """Run ``function(task)`` for each task on the workers of a Dask scheduler.

    Twice as many tasks as the cluster has threads are under way at a time. What a lost worker was doing is done again
    by another one.

    Args:
        function: importable on the workers, as its tasks and values are.
        tasks: taken as room becomes free.
        scheduler: its address, such as ``tcp://10.0.0.1:8786``.
        timeout_seconds: for each task.

    Yields:
        Outcomes as they come, as :func:`bike.workers.pool.run_tasks` does.

    Raises:
        BikeError: Dask is not installed, the scheduler does not answer, no worker is left, or a task raised one.
    """
    if not has_module("distributed"):
        raise BikeError('Dask: not installed. Install the extra (`pip install "bike-video[dask]"`).')
    if not _is_address(scheduler):
        raise BikeError(f"{scheduler}: not the address of a scheduler. Give one such as tcp://10.0.0.1:8786.")
    import distributed

    make_client: Any = distributed.Client
    try:
        client = make_client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise BikeError(
            f"{scheduler}: no Dask scheduler answers ({one_line(error)}). Start one, or leave --scheduler out."
        ) from None
    running: dict[Future[Outcome[Item, Value]], Item] = {}
    try:
        executor = client.get_executor(pure=False)  # Dask would give the result of one task to all equal ones
        cluster = _Cluster(client, scheduler)
        waiting = iter(tasks)
        while True:
            # Twice the threads: each has its next task waiting, yet memory does not grow with the number of tasks.
            while len(running) < 2 * cluster.threads() and (task := next(waiting, None)) is not None:
                running[executor.submit(_limited, function, task, timeout_seconds)] = task
            if not running:
                return
            done, _ = wait(running, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                yield _outcome(future, running.pop(future))
    finally:
        for future in running:
            future.cancel()
        client.close()


def _is_address(scheduler: str) -> bool:
    try:
        parts = urlsplit(scheduler)
        return parts.scheme in ("tcp", "tls") and bool(parts.hostname) and parts.port is not None
    except ValueError:
        return False


class _Cluster:
    """How many threads a cluster has; asked for now and then."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name = client, name
        self._threads = 0
        self._asked = float("-inf")
        self._seen = time.monotonic()
        self._said = False

    def threads(self) -> int:
        """Threads of all workers; waits until there is one.

        Raises:
            BikeError: no worker for too long, or the scheduler is gone.
        """
        while time.monotonic() - self._asked > _LOOK_SECONDS or self._threads == 0:
            try:
                self._threads = sum(self._client.nthreads().values())
            except (OSError, TimeoutError) as error:
                raise BikeError(
                    f"{self._name}: the Dask scheduler is gone ({one_line(error)}). Run the command again to go on."
                ) from None
            self._asked = time.monotonic()
            if self._threads:
                self._seen = self._asked
            elif self._asked - self._seen > PATIENCE_SECONDS:
                raise BikeError(f"{self._name}: the Dask cluster has no worker. Start some and run the command again.")
            else:
                if not self._said:
                    self._said = True
                    log.info("%s: waiting for a worker, for up to %.0f s", self._name, PATIENCE_SECONDS)
                time.sleep(0.2)
        return self._threads


def _limited(function: Callable[[Item], Value], task: Item, timeout_seconds: float) -> Outcome[Item, Value]:
    """Runs on a Dask worker: one task, in this thread's helper process."""
    try:
        return Outcome(task, thread_worker().call(function, task, timeout_seconds=timeout_seconds))
    except Exception as error:  # handed to the client as the task's outcome
        return Outcome(task, None, error)


def _outcome(future: Future[Outcome[Item, Value]], task: Item) -> Outcome[Item, Value]:
    try:
        outcome = future.result()
    except Exception as error:  # Dask gave the task up
        return Outcome(task, None, DiedError(f"given up by Dask: {one_line(error)[:200]}"))
    if isinstance(outcome.error, BikeError):
        raise outcome.error
    return outcome
