"""What the method claims: differences of two evaluations of the same videos, and whether they exceed chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from bike.evaluate.intervals import bootstrap_interval
from bike.evaluate.scores import right_videos
from bike.report.mistakes import scores_of
from bike.report.rows import Row, find_row

CLAIMS_COLUMNS = ("Claim", "Compared", "Difference", "95 % interval", "Shown")
CLAIMS_ARE_TEXT = (True, True, False, False, True)


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim, measured."""

    title: str
    better: Row  # what is claimed to be better,
    worse: Row  # than this
    difference: float  # of their top-1, in points
    low: float  # ends of the difference's 95 % interval over the videos
    high: float
    chance: float  # that as many of the videos on which the two disagree, or more, favour one of them (sign test)
    gained: int  # videos that only the better one has right,
    lost: int  # and that only the worse one has

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out nothing, and chance alone gives this in less than one case of twenty."""
        return (self.low > 0 or self.high < 0) and self.chance < 0.05

    @property
    def holds(self) -> bool:
        """Whether the whole interval is above nothing, and chance alone gives this in less than one case of twenty.

        Of few videos that differ, all in favour, the interval is above nothing however few they are.
        """
        return self.differs and self.low > 0


def measure_claims(rows: Sequence[Row]) -> list[Claim]:
    """The claims for which there are evaluations, in each of the table's views.

    Order: the temporal head over none. Saliency: concept spotting over the dot product. Attributes: fusion over the
    better one of its branches. More views: the last views of the table over the first ones. Compared are the videos
    that both have scores of; the video branch is the strongest that is there, by the names in :data:`KNOWN`.
    """
    name = next((n for t in ("transf", "none") for i in ("vcs", "dp") if find_row(rows, n := f"video-{t}-{i}")), None)
    if name is None:
        return []
    _, head, spotting = name.split("-")
    videos = [row for row in rows if row.name == name]

    def beside(video: Row, other: str) -> Row | None:
        return next((row for row in rows if (row.name, row.views) == (other, video.views)), None)

    compared = [("Order, by the temporal head", video, beside(video, f"video-none-{spotting}")) for video in videos]
    compared += [("Saliency, by concept spotting", video, beside(video, f"video-{head}-dp")) for video in videos]
    for video in videos:
        branches = [row for row in (video, find_row(rows, "attributes")) if row and row.top1 is not None]
        best = max(branches, key=lambda row: row.top1 or 0.0, default=None)
        if fused := beside(video, "fuse"):
            compared.append(("Attributes, by fusion", fused, best))
    compared.append(("More views", videos[-1], videos[0]))
    found = [measure_difference(title, one, other) for title, one, other in compared if other and one != other]
    return [claim for claim in found if claim]


def measure_difference(title: str, better: Row, worse: Row) -> Claim | None:
    """The difference of two evaluations on the videos that both have scores of; None where there are none."""
    scores = [found for row in (better, worse) if (found := scores_of(row))]
    if len(scores) < 2:
        return None
    one, other = map(right_videos, scores)
    values = [one[key] - other[key] for key in one if key in other]
    if not values:
        return None
    difference = 100 * sum(values) / len(values)
    low, high = bootstrap_interval(values)
    changed = values.count(1), values.count(-1)
    return Claim(title, better, worse, difference, low, high, _sign_test(values), *changed)


def _sign_test(values: Sequence[int]) -> float:
    """The two-sided exact probability: of 1 and -1, equally likely, at least this one-sided."""
    count, most = sum(map(abs, values)), max(values.count(1), values.count(-1))
    return min(1.0, sum(comb(count, k) for k in range(most, count + 1)) / 2 ** (count - 1)) if count else 1.0


def claims_table(claims: Sequence[Claim]) -> list[tuple[str, str, str, str, str]]:
    """The cells below :data:`CLAIMS_COLUMNS`."""
    return [
        (
            claim.title,
            f"{claim.better.title} – {claim.worse.title}",
            f"{claim.difference:+.1f}",
            f"{claim.low:+.1f} to {claim.high:+.1f}",
            "yes" if claim.holds else "no",
        )
        for claim in claims
    ]
