"""What an evaluation is wrong about: its videos, the most confident mistake first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bike.evaluate.scores import SCORES_NAME, Scores, read_scores
from bike.report.rows import Row


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an evaluation says of one video."""

    key: str
    labels: tuple[int, ...]  # classes that the video shows
    predicted: int  # the class with the highest score, of equals the first
    score: float  # of the predicted class
    own: float  # the highest score of a class that the video shows

    @property
    def right(self) -> bool:
        """Whether the predicted class is one of the video's own."""
        return self.predicted in self.labels


def scores_of(row: Row) -> Scores | None:
    """The scores of an evaluation; None where there are none."""
    return read_scores(row.folder) if row.folder and (row.folder / SCORES_NAME).is_file() else None


def verdicts(scores: Scores) -> dict[str, Verdict]:
    """What an evaluation says of every video with a label, by key."""
    top, best = scores.scores.max(1).values.tolist(), scores.scores.argmax(1).tolist()
    own = scores.scores.masked_fill(scores.targets == 0, float("-inf")).max(1).values.tolist()
    labels = [tuple(row.nonzero()[:, 0].tolist()) for row in scores.targets]
    found = map(Verdict, scores.keys, labels, best, top, own)
    return {verdict.key: verdict for verdict in found if verdict.labels}


def hardest_first(said: Iterable[Verdict]) -> list[Verdict]:
    """Those of a wrong class: the higher the wrong class's score, the earlier; of equals by key."""
    return sorted((verdict for verdict in said if not verdict.right), key=lambda one: (-one.score, one.key))
