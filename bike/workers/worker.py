"""A helper process with a time limit: what runs in it may hang, crash or hold the interpreter's lock.

Plain subprocesses are used, not :mod:`multiprocessing`: they can be started from daemonic processes (the workers of a
data loader), from threads, and without importing the caller's main module again.

A task that takes too long is ended from three sides, since any one may fail: by the parent at its deadline; by the
kernel's alarm in the helper, should the parent be stuck or gone; and, on Linux, by the parent's death.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from bike.workers.parent import end_with_parent

_START_SECONDS = 300.0  # for the process to start and import, on a machine that is busy
_GRACE_SECONDS = 5.0  # beyond the limit, an abandoned helper ends itself
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}  # numpy's idle threads spin for a while: a tenth of a second per helper


class TimedOutError(Exception):
    """The task did not finish in its time; its process was killed."""


class DiedError(Exception):
    """The process that ran the task ended by itself; the text says how (``signal 11``)."""


class Worker:
    """One helper process that runs one task at a time; started on first use and again after it was killed.

    A task is a function that can be imported by name, with arguments that pickle. Not for several threads at once; and
    on Linux the process ends with the thread that started it.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None
        self._reply: tuple[bool, Any] | None = None
        self._timeout_seconds = 0.0
        self.deadline = float("inf")  # time.monotonic() at which the running task is overdue
        self.owner = os.getpid()  # after a fork, the copy in the child must leave the helper alone

    def submit(self, function: Callable[..., Any], *args: Any, timeout_seconds: float) -> None:
        """Start ``function(*args)`` in the process; :meth:`result` waits for it.

        The limit counts from when the function begins, not from when the process starts and imports it.
        """
        self._reply, self._timeout_seconds = None, timeout_seconds
        for attempt in (1, 2):
            if self._connection is None:
                self._start()
            try:
                self.connection.send((function, args, timeout_seconds))
                break
            except (BrokenPipeError, ConnectionError):  # it was killed between tasks, by memory pressure for example
                self.kill()
                if attempt == 2:
                    raise DiedError("it ends as soon as it starts") from None
        self.deadline = time.monotonic() + _START_SECONDS  # until the helper says that the task begins

    @property
    def connection(self) -> Connection[Any, Any]:
        """Readable (``multiprocessing.connection.wait``) when the task begins, and when it ends."""
        if self._connection is None:
            raise ValueError("no task was submitted")
        return self._connection

    def is_done(self, wait_seconds: float = 0.0) -> bool:
        """Whether :meth:`result` need not wait: there is an answer, the process ended, or the limit has passed."""
        try:
            while self._reply is None and self.connection.poll(wait_seconds):
                message = self.connection.recv()
                if message is not None:  # the end of the task
                    succeeded, value, seconds = message
                    # The helper measured the time: this process may have been too busy to look at its deadline.
                    late = seconds > self._timeout_seconds
                    self._reply = (False, TimedOutError()) if late else (succeeded, value)
                    return True
                self.deadline = time.monotonic() + self._timeout_seconds  # None: the task begins
                wait_seconds = 0.0
        except (EOFError, ConnectionError):
            self._reply = (False, DiedError(self._cause_of_death()))
        return self._reply is not None or time.monotonic() >= self.deadline

    def result(self) -> Any:
        """Wait for the submitted task.

        Returns:
            What the function returned.

        Raises:
            TimedOutError: the time limit passed.
            DiedError: the process ended without an answer.
            Exception: what the function raised.
        """
        try:
            # At most a minute at a time: the deadline moves when the task begins, and poll refuses waits of weeks.
            while not self.is_done(min(60.0, max(0.0, self.deadline - time.monotonic()))):
                pass
        except KeyboardInterrupt:
            self.kill()
            raise
        reply, self._reply = self._reply, None
        if reply is None:
            self.kill()
            raise TimedOutError
        self.deadline = float("inf")
        succeeded, value = reply
        if succeeded:
            return value
        raise value

    def call(self, function: Callable[..., Any], *args: Any, timeout_seconds: float) -> Any:
        """Run ``function(*args)`` in the process; returns and raises as :meth:`result`."""
        self.submit(function, *args, timeout_seconds=timeout_seconds)
        return self.result()

    def kill(self) -> None:
        """End the process and everything it started; the next task starts a new one."""
        process, self._process = self._process, None
        connection, self._connection = self._connection, None
        self.deadline = float("inf")
        if connection is not None:
            connection.close()
        if process is not None and self.owner == os.getpid():
            # The whole session (see _start): a helper that runs ffmpeg must not leave it behind.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def __del__(self) -> None:
        with suppress(Exception):
            self.kill()

    def _start(self) -> None:
        ours, theirs = Pipe(duplex=True)
        root = str(Path(__file__).resolve().parents[2])  # so that the helper imports this very copy of bike
        paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        command = f"from bike.workers.worker import serve; serve({theirs.fileno()}, {os.getpid()})"
        self._process = subprocess.Popen(
            [sys.executable, "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**_ONE_THREAD, **os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # Ctrl-C reaches the parent only, which then ends the helpers
        )
        theirs.close()
        self._connection = ours

    def _cause_of_death(self) -> str:
        process = self._process
        status = process.wait() if process is not None else 0
        self.kill()
        if status < 0:
            with suppress(ValueError):
                return f"signal {-status}, {signal.Signals(-status).name}"
        return f"exit status {status}"


def serve(descriptor: int, parent: int) -> None:
    """Main loop of the helper: receive a task, run it, send what it returned or raised, until the parent is gone."""
    end_with_parent(parent)
    connection: Connection[Any, Any] = Connection(descriptor)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the kernel ends this process even when a decoder never returns
    while True:
        try:
            function, args, timeout_seconds = connection.recv()
        except (EOFError, ConnectionError):
            return
        signal.setitimer(signal.ITIMER_REAL, min(timeout_seconds + _GRACE_SECONDS, 1e8))  # 1e8: inf is refused
        try:
            connection.send(None)  # the limit counts from here, see Worker.is_done
            start = time.monotonic()
            try:
                succeeded, value = True, function(*args)
            except Exception as error:  # the parent raises it
                succeeded, value = False, error
            signal.setitimer(signal.ITIMER_REAL, 0)
            seconds = time.monotonic() - start
            connection.send((succeeded, value, seconds))
        except (BrokenPipeError, ConnectionError):
            return
        except Exception as error:  # the value, or what was raised, does not pickle
            connection.send((False, RuntimeError(f"{type(error).__name__}: {error}"), seconds))


_own = threading.local()


def thread_worker() -> Worker:
    """The calling thread's own worker, kept for its next call; a forked process starts its own."""
    worker: Worker | None = getattr(_own, "worker", None)
    if worker is None or worker.owner != os.getpid():
        worker = _own.worker = Worker()
    return worker


def has_module(name: str) -> bool:
    """Whether the module ``name`` is installed, without importing it."""
    return importlib.util.find_spec(name) is not None
