"""The helper process: what hangs, crashes or raises in it never stops the caller."""

from __future__ import annotations

import operator
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from bike.video.file import UnreadableError
from bike.workers.worker import DiedError, TimedOutError, Worker, has_module, thread_worker


def test_runs_functions_and_keeps_its_process() -> None:
    with Worker() as worker:
        pids = {worker.call(os.getpid, timeout_seconds=60) for _ in range(3)}
        assert len(pids) == 1
        assert pids != {os.getpid()}
        assert worker.call(operator.mul, 6, 7, timeout_seconds=60) == 42


def test_what_the_function_raises_is_raised_here() -> None:
    with Worker() as worker:
        with pytest.raises(ZeroDivisionError):
            worker.call(operator.truediv, 1, 0, timeout_seconds=60)
        with pytest.raises(RuntimeError, match="TypeError"):  # what it returns does not pickle
            worker.call(open, os.devnull, timeout_seconds=60)
        assert worker.call(abs, -1, timeout_seconds=60) == 1


def test_a_hanging_task_is_killed_and_the_next_one_runs() -> None:
    with Worker() as worker:
        first = worker.call(os.getpid, timeout_seconds=60)
        with pytest.raises(TimedOutError):
            worker.call(time.sleep, 600, timeout_seconds=0.2)
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        assert worker.call(os.getpid, timeout_seconds=60) != first


def test_a_crash_is_named_and_the_next_task_runs() -> None:
    with Worker() as worker:
        with pytest.raises(DiedError, match="SIGABRT"):
            worker.call(os.abort, timeout_seconds=60)
        with pytest.raises(DiedError, match="exit status 3"):
            worker.call(os._exit, 3, timeout_seconds=60)
        assert worker.call(abs, -1, timeout_seconds=60) == 1


def test_killed_between_tasks() -> None:
    with Worker() as worker:
        os.kill(worker.call(os.getpid, timeout_seconds=60), signal.SIGKILL)
        with suppress(DiedError):  # it may die after the task was sent
            worker.call(abs, -1, timeout_seconds=60)
        assert worker.call(abs, -2, timeout_seconds=60) == 2


@pytest.mark.parametrize("busy", [True, False])
def test_the_helper_of_a_killed_parent_ends_by_itself(busy: bool) -> None:
    """Even one that never looks at its connection again."""
    code = f"""
        import os, time
        from bike.workers.worker import Worker
        worker = Worker()
        print(worker.call(os.getpid, timeout_seconds=60), flush=True)
        if {busy}:
            worker.submit(time.sleep, 600, timeout_seconds=60)
        print("ready", flush=True)
        time.sleep(600)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    helper = int(parent.stdout.readline())
    parent.stdout.readline()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    if busy and sys.platform != "linux":  # there the kernel tells it of its parent's death
        os.kill(helper, signal.SIGALRM)  # what the timer does, only sooner
    assert _ends(helper)


def _ends(pid: int) -> bool:
    for _ in range(600):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_leaves_the_parents_helper_alone() -> None:
    worker = thread_worker()
    helper = worker.call(os.getpid, timeout_seconds=60)
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(BaseException):
            own = thread_worker()
            del worker
            status = 0 if own.call(abs, -1, timeout_seconds=60) == 1 else 2
            own.kill()
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert thread_worker().call(os.getpid, timeout_seconds=60) == helper


def test_each_thread_has_its_own() -> None:
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(thread_worker().call, time.sleep, 0, timeout_seconds=60)]
        jobs += [pool.submit(lambda: thread_worker().call(time.sleep, 0.2, timeout_seconds=60)) for _ in range(2)]
        assert [job.result() for job in jobs] == [None] * 3


def test_reasons_pickle_whole() -> None:
    error = pickle.loads(pickle.dumps(UnreadableError("cut", partial=True, transient=True)))
    assert (str(error), error.partial, error.transient) == ("cut", True, True)


def test_has_module() -> None:
    assert has_module("json")
    assert not has_module("no_such_module_anywhere")
