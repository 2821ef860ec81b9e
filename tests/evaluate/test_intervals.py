"""Intervals over the choice of videos: as wide as theory says, symmetric, and the same whatever the order."""

from __future__ import annotations

import pytest

from bike.evaluate.intervals import bootstrap_interval


@pytest.mark.parametrize(("right", "number"), [(50, 100), (90, 100), (300, 400)])
def test_an_interval_is_that_of_the_binomial_distribution(right: int, number: int) -> None:
    low, high = bootstrap_interval([1] * right + [0] * (number - right))
    share = right / number
    half = 100 * 1.96 * (share * (1 - share) / number) ** 0.5
    assert low == pytest.approx(100 * share - half, abs=0.2 * half)
    assert high == pytest.approx(100 * share + half, abs=0.2 * half)
    assert (low, high) == bootstrap_interval([0] * (number - right) + [1] * right)


def test_two_methods_that_err_on_the_same_videos_differ_by_less_than_each_alone() -> None:
    alone = bootstrap_interval([1] * 80 + [0] * 20)
    paired = bootstrap_interval([1] * 5 + [0] * 95)  # the second is right on five of the twenty as well
    assert paired[0] > 0
    assert paired[1] - paired[0] < alone[1] - alone[0]


def test_without_a_choice_there_is_no_interval() -> None:
    assert bootstrap_interval([1, 1, 1]) == (100, 100)
    assert bootstrap_interval([0]) == (0, 0)
    with pytest.raises(ValueError, match="at least one video"):
        bootstrap_interval([])
