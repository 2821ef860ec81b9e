"""One line of rising times out of clocks that restart, jump and run backwards; and which of two stamps holds."""

from __future__ import annotations

import pytest

from bike.video.clock import Clock, StampChoice

WRAP = 2**33 / 90000  # seconds at which the clock of MPEG starts again


def line(stated: list[float | None], frame_seconds: float = 0.04, longest: float = 10.0) -> list[float]:
    clock = Clock(frame_seconds, longest)
    return [round(clock.tick(time), 6) for time in stated]


STEADY = [0.0, 0.04, 0.08, 0.12, 0.16, 0.2]


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ([time + 7.5 for time in STEADY], STEADY),
        ([0.0, 0.04, 3.04], [0.0, 0.04, 3.04]),
        ([0.0, 0.04, None, 0.12, None, None], STEADY),
        ([None, None, 5.0, 5.04], STEADY[:4]),
        ([0.0, 0.04, 0.02, 0.12, 0.16], STEADY[:5]),
        ([2.92, 2.96, 0.0, 0.04, 0.08, 0.12], STEADY),
        ([0.0, 0.04, 3000.0, 3000.04, 3000.08, 3000.12], STEADY),
        ([0.0, 0.04, -50.0, -49.96, 900.0, 900.04], STEADY),
        ([WRAP - 0.08, WRAP - 0.04, 0.0, 0.04], STEADY[:4]),
        ([0.0, 0.04, 3600.0, 0.12, 0.16], STEADY[:5]),
    ],
)
def test_the_line_rises_by_plausible_steps(stated: list[float | None], expected: list[float]) -> None:
    assert line(stated) == pytest.approx(expected)


def test_a_frame_lasts_as_its_neighbours_where_the_average_counts_a_hole() -> None:
    clock = Clock(20.0, 600.0)
    for time in (0.0, 0.04, 0.08, 3000.0, 3000.04):
        clock.tick(time)
    assert clock.seconds == pytest.approx(0.16)
    assert clock.frame_seconds == pytest.approx(0.04)
    assert clock.jumps


@pytest.mark.parametrize(
    ("stamps", "only_dts", "expected"),
    [
        ([(0, 0), (2, 1), (4, 2)], False, [0, 2, 4]),
        ([(1, 2), (4, 3), (3, 4), (5, 5), (7, 6), (6, 7)], False, [1, 4, 4, 5, 6, 7]),  # packed B-frames
        ([(1, 2), (4, 3), (3, 4)], True, [2, 3, 4]),
        ([(0, 3), (1, 3), (2, 3)], False, [0, 1, 2]),  # here dts is the faulty one
        ([(None, 1), (None, 2), (3, None)], False, [1, 2, 3]),
        ([(None, None)], False, [None]),
    ],
)
def test_the_stamp_that_runs_backwards_less_often_holds(
    stamps: list[tuple[int | None, int | None]], only_dts: bool, expected: list[int | None]
) -> None:
    choice = StampChoice(only_dts=only_dts)
    assert [choice.choose(pts, dts) for pts, dts in stamps] == expected
