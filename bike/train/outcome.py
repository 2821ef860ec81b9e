"""What a training run made, and what must hold before it starts."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float, UInt8
from torch import Tensor

from bike.errors import DataError, first_few, one_line
from bike.evaluate.scores import Scores, summarize
from bike.records import Sample
from bike.train.curves import Point, latest
from bike.train.rehearse import Rehearsed

log = logging.getLogger("bike")

# Of the sections train and train_attributes. Threads and parts only round differently, so that a run which is short of
# memory may go on with more parts; the others decide how and when something is done.
CHANGE_NO_WEIGHT = {"threads", "accumulate", "validate_every", "checkpointing", "compile"}


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training run made.

    Attributes:
        checkpoint: the file.
        points: of the curves: (step from 0, values by name); on rank 0 only.
        rehearsed: in place of both, where only that was asked for; on rank 0 only.
    """

    checkpoint: Path
    points: list[Point]
    rehearsed: Rehearsed | None = None

    def latest(self, name: str) -> float | None:
        """The last value of a curve such as ``train/loss`` or ``val/top1`` (percent); None where there is none."""
        return latest(self.points, name)


def check_trainable(samples: list[Sample], place: Path | str, batch_size: int, section: str = "train") -> None:
    """Every sample of a training list needs a label, and there must be enough of them for a whole batch.

    Raises:
        DataError: naming those that have none, or the parameter of ``section`` that asks for more.
    """
    bare = [sample.key for sample in samples if not sample.labels]
    if bare:
        raise DataError(f"{place}: samples without a label can't be trained on: {first_few(bare)}.")
    if len(samples) < batch_size:
        remedy = f"Set {section}.batch_size to {len(samples)} or less." if len(samples) > 1 else "Bring more samples."
        raise DataError(
            f"{place}: {len(samples)} samples, fewer than one batch of {batch_size}; only whole batches are trained "
            f"on, so there would be none. {remedy}"
        )
    if len({sample.labels[0] for sample in samples}) == 1:
        log.warning("%s: all samples are of one class, and training learns from what tells classes apart", place)
    if several := sum(len(sample.labels) > 1 for sample in samples):
        log.warning(
            "%s: %d of %d samples have several labels, and training takes the first of each. List the parts that show "
            "one class each (start and end), as the published training does.",
            place,
            several,
            len(samples),
        )


def validation_metrics(scores: Float[Tensor, "N K"], targets: UInt8[Tensor, "N K"]) -> dict[str, float]:
    """``val/top1`` in percent, and ``val/map`` where samples have several labels, both as evaluation reports them."""
    # Neither keys nor class names enter the metrics.
    found = summarize(Scores([""] * len(scores), [""] * scores.shape[1], scores, targets))
    names = ("top1", "map") if bool((targets.sum(1) > 1).any()) else ("top1",)
    return {f"val/{name}": float(found[name] or 0.0) for name in names}


def tell_shared(training: list[Sample], validation: list[Sample], places: tuple[Path | str, Path | str | None]) -> None:
    """Warn of videos that are trained and validated on: the curves then show what was learned by heart, too."""
    shared = {sample.video: sample.path for sample in training}.items() & {(s.video, s.path) for s in validation}
    if shared:
        seen = first_few(sorted(one_line(path) for _, path in shared), 3)
        log.warning("%s and %s share %d videos, whose validation says little: %s", *places, len(shared), seen)
