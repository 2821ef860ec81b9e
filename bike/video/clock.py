"""When pictures are shown: one line of rising times out of clocks that restart, jump and run backwards."""

from __future__ import annotations

LONGEST_STEP_SECONDS = 600.0  # that a picture may stand, in a screen recording for example
LONGEST_JOINT_SECONDS = 10.0  # in broadcast formats, whose clocks jump; FFmpeg's own limit


class Clock:
    """Puts the stated times of pictures on one line that starts at 0 and rises with every picture.

    A time counts when it is later than the picture before, and not implausibly so. Where that is not the case, the step
    since the picture before is tried: after a jump the clock goes on as before, only elsewhere. If that fails as well,
    the picture comes one frame duration after the one before. At 25 fps:

    ===============================  ======================  =======================================================
    Stated, seconds                  Line, seconds           Why
    ===============================  ======================  =======================================================
    5.00, 5.04, 5.08                 0.00, 0.04, 0.08        the line begins at 0
    0.00, 0.04, 3.04                 0.00, 0.04, 3.04        a picture may stand for a while
    0.00, 0.04, none, 0.12           0.00, 0.04, 0.08, 0.12  one time is missing
    0.00, 0.04, 0.02, 0.12           0.00, 0.04, 0.08, 0.12  one time is wrong: those after it still count
    2.92, 2.96, 0.00, 0.04           0.00, 0.04, 0.08, 0.12  the clock restarts, as in joined files and on DVDs
    0.00, 0.04, 3000.00, 3000.04     0.00, 0.04, 0.08, 0.12  it jumps: nothing fills the hole
    ===============================  ======================  =======================================================

    Args:
        frame_seconds: duration of a frame as the container states it.
        longest_step_seconds: a later time than this after the picture before is a jump.

    Attributes:
        seconds: where the picture that came last stands on the line.
        jumps: how often a stated time did not count.
    """

    def __init__(self, frame_seconds: float, longest_step_seconds: float) -> None:
        self._stated_seconds, self._longest = frame_seconds, longest_step_seconds
        self._offset: float | None = None  # from a stated time to the line
        self._before: float | None = None  # the time that was stated last
        self._num_steps, self._step_seconds = 0, 0.0
        self._num_pictures = 0
        self.seconds = 0.0
        self.jumps = 0

    def tick(self, stated: float | None) -> float:
        """The next picture's time on the line, given its stated one."""
        before, self._before = self._before, stated
        self._num_pictures += 1
        if self._num_pictures > 1:
            self.seconds += self._step(stated, before)
        if self._offset is None and stated is not None:
            self._offset = self.seconds - stated
        return self.seconds

    def _step(self, stated: float | None, before: float | None) -> float:
        if stated is not None and self._offset is not None:
            for offset in (self._offset, None if before is None else self.seconds - before):
                self.jumps += offset is not self._offset
                if offset is not None and 0 < (step := stated + offset - self.seconds) <= self._longest:
                    self._offset = offset
                    self._num_steps += 1
                    self._step_seconds += step
                    return step
        return self.frame_seconds

    @property
    def frame_seconds(self) -> float:
        """Duration of a frame: as stated, or the mean of all plausible steps so far where that is less than half.

        Over a hole of 3,000 s some containers state an average of 20 s a frame.
        """
        mean = self._step_seconds / self._num_steps if self._num_steps else self._stated_seconds
        return mean if mean < self._stated_seconds / 2 else self._stated_seconds


class StampChoice:
    """Which of a picture's two time stamps holds, by the rule of FFmpeg's ``guess_correct_pts``.

    The time of presentation (pts), unless it ran backwards more often than the time of decoding (dts): packed B-frames,
    as XviD writes them. AVI has no times of presentation, and what the reader makes up is wrong for those files.
    """

    def __init__(self, *, only_dts: bool) -> None:
        self._only_dts = only_dts
        self._pts = self._dts = -(1 << 63)
        self._faults = 0  # of pts beyond those of dts

    def choose(self, pts: int | None, dts: int | None) -> int | None:
        """The stamp that holds; None when there is none."""
        if dts is not None:
            self._faults -= dts <= self._dts
            self._dts = dts
        if pts is not None:
            self._faults += pts <= self._pts
            self._pts = pts
        if self._only_dts:
            return dts
        return pts if pts is not None and (self._faults <= 0 or dts is None) else dts
