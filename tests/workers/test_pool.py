"""Many tasks over helper processes: what hangs or crashes costs only itself."""

from __future__ import annotations

import math
import operator
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bike.errors import BikeError
from bike.files import existing_file
from bike.workers.pool import describe_failure, run_tasks
from bike.workers.worker import DiedError, TimedOutError


def test_the_pool_lives_on() -> None:
    """A task that hangs and one that kills its process cost only themselves."""
    tasks = [partial(math.factorial, number) for number in range(8)]
    hang, die, bad = partial(time.sleep, 600), partial(os.abort), partial(int, "x")
    tasks[2:2] = [hang]
    tasks[5:5] = [die, bad]
    outcomes = {id(outcome.task): outcome for outcome in run_tasks(operator.call, tasks, jobs=2, timeout_seconds=2)}
    assert len(outcomes) == len(tasks)
    values = [outcomes[id(task)].value for task in tasks if task not in (hang, die, bad)]
    assert values == [math.factorial(number) for number in range(8)]
    errors = [outcomes[id(task)].error for task in (hang, die, bad)]
    assert [type(error) for error in errors] == [TimedOutError, DiedError, ValueError]
    reasons = [describe_failure(error, 2) for error in errors if error is not None]
    assert reasons[:2] == ["timed out after 2 s", "its helper process ended early (signal 6, SIGABRT)"]
    assert reasons[2].startswith("unexpected ValueError: invalid literal")


def test_the_pool_takes_tasks_as_it_goes() -> None:
    taken = 0

    def tasks() -> Iterator[partial[int]]:
        nonlocal taken
        for number in range(50):
            taken += 1
            yield partial(math.factorial, number)

    for done, _ in enumerate(run_tasks(operator.call, tasks(), jobs=2, timeout_seconds=60)):
        assert taken <= done + 3


def test_the_pool_stops_at_what_concerns_every_task(tmp_path: Path) -> None:
    tasks = [partial(existing_file, str(tmp_path / "none")), *(partial(time.sleep, 600) for _ in range(5))]
    with pytest.raises(BikeError, match="no such file"):
        list(run_tasks(operator.call, tasks, jobs=2, timeout_seconds=600))


@pytest.mark.parametrize("limit", [1e9, math.inf])
def test_the_pool_takes_any_limit(limit: float) -> None:
    """And work with a limit, however long, is never done in this process: it may crash."""
    (outcome,) = run_tasks(operator.call, [os.getpid], jobs=1, timeout_seconds=limit)
    assert outcome.get() != os.getpid()


@pytest.mark.parametrize(("jobs", "tasks"), [(1, 3), (8, 1)])
def test_without_a_limit_one_process_or_one_task_needs_no_helper(jobs: int, tasks: int) -> None:
    outcomes = list(run_tasks(operator.call, [os.getpid] * tasks, jobs=jobs))
    assert [outcome.get() for outcome in outcomes] == [os.getpid()] * tasks
    (outcome,) = run_tasks(operator.neg, ["x"])
    with pytest.raises(TypeError):
        outcome.get()


def test_without_a_limit_several_tasks_share_helpers() -> None:
    pids = [outcome.get() for outcome in run_tasks(operator.call, [os.getpid] * 6, jobs=2)]
    assert os.getpid() not in pids
    assert len(set(pids)) <= 2


def test_a_helper_that_dies_is_one_line_for_those_to_whom_no_task_may_fail() -> None:
    outcomes = run_tasks(operator.call, [os.abort, os.abort], jobs=2)
    with pytest.raises(BikeError, match=r"ended too early \(signal 6, SIGABRT\)\. Run again, with fewer --jobs"):
        [outcome.get() for outcome in outcomes]
