"""Training curves as dvclive writes them: one ``plots/metrics/**/<metric>.tsv`` for each metric of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bike.errors import DataError, one_line
from bike.files.tables import read_table
from bike.report.rows import TRAINING

if TYPE_CHECKING:
    from pandas import Series

MAX_POINTS = 240
# Path of a curve's file without its ending -> what it shows, and in which unit.
METRICS = {
    "train/loss": ("Training loss", "loss"),
    "train/lr_encoder": ("Learning rate of the encoder", "learning rate"),
    "train/lr_head": ("Learning rate of the head", "learning rate"),
    "val/top1": ("Top-1 on the validation split", "top-1 (%)"),
    "val/map": ("mAP on the validation split", "mAP (%)"),
    "pretrain/loss": ("Pretraining loss", "loss"),
    "pretrain/lr": ("Learning rate of pretraining", "learning rate"),
    "pretrain/logit_scale": ("Factor of the logits", "factor"),
    "pretrain/caption_top1": ("Held-out stills whose nearest caption is their own", "stills (%)"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One metric of one run."""

    run: str  # the run's folder, such as `video-transf-vcs`
    metric: str  # path of the file below `plots/metrics` without its ending, such as `train/loss`
    points: Series[float]  # step -> value, by step, all finite in fp32

    @property
    def title(self) -> str:
        """What the curve shows, in words; of an unknown metric its name."""
        return METRICS.get(self.metric, (self.metric,))[0]

    @property
    def unit(self) -> str:
        """What the axis of the values says."""
        return METRICS.get(self.metric, ("", "value"))[1]


def read_curves(results: Path) -> list[Curve]:
    """The curves below ``results/train/<run>`` and ``results/pretrain…``, in the order of their paths; maybe none.

    Raises:
        DataError: a file is not a table of a step and a number.
    """
    train, *pretrained = (results / name for name in TRAINING)
    runs = [*sorted(path for path in train.glob("*") if path.is_dir()), *pretrained]
    curves = []
    for run in runs:
        folder = run / "plots" / "metrics"
        for path in sorted(folder.rglob("*.tsv")):
            points = _read_points(path)
            if len(points):
                curves.append(Curve(run.name, path.relative_to(folder).with_suffix("").as_posix(), points))
    return curves


def validation_values(curves: Sequence[Curve]) -> dict[str, float]:
    """The last validation value of each run: mAP where samples have several labels, otherwise top-1, in percent."""
    found = {curve.run: float(curve.points.iloc[-1]) for curve in curves if curve.metric == "val/map"}
    return {curve.run: float(curve.points.iloc[-1]) for curve in curves if curve.metric == "val/top1"} | found


def thin_out(points: Series[float], limit: int = MAX_POINTS) -> Series[float]:
    """At most ``limit`` points: runs of neighbours are replaced by their means; few points stay as they are."""
    groups = np.arange(len(points)) * limit // max(len(points), limit)  # with few points, each is its own group
    steps = points.index.to_series().groupby(groups).mean()
    return points.groupby(groups).mean().set_axis(steps)


def _read_points(path: Path) -> Series[float]:
    table = read_table(path, ("step", path.stem), separator="\t")
    try:
        values = table.astype(float)
    except ValueError as error:
        raise DataError(f"{path}: not a curve of numbers ({one_line(error)}). Train again.") from error
    # Losses are computed in fp32: what it can't hold overflowed, too, and axes can't be drawn up to it.
    return (
        values[(values.abs() < np.finfo(np.float32).max).all(axis=1)]
        .set_index("step")[path.stem]
        .sort_index(kind="stable")
    )
