"""Training curves as dvclive writes them: one ``plots/metrics/**/<metric>.tsv`` for each metric of a run."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bike.errors import DataError
from bike.report.rows import TRAINING

MAX_POINTS = 240


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric of one run.

    Attributes:
        run: the run's folder, such as ``video-transf-vcs``.
        metric: path of the file below ``plots/metrics`` without its ending, such as ``train/loss``.
        points: (step, value), by step; values beyond ±1e30, infinity and NaN are left out.
    """

    run: str
    metric: str
    points: tuple[tuple[float, float], ...]


def read_curves(results: Path) -> list[Curve]:
    """The curves below ``results/train/<run>`` and ``results/pretrain``, in the order of their paths; maybe none."""
    train, pretrain = (results / name for name in TRAINING)
    runs = [*sorted(path for path in train.glob("*") if path.is_dir()), pretrain]
    curves = []
    for run in runs:
        folder = run / "plots" / "metrics"
        for path in sorted(folder.rglob("*.tsv")):
            points = _read_points(path)
            if points:
                curves.append(Curve(run.name, path.relative_to(folder).with_suffix("").as_posix(), points))
    return curves


def thin_out(points: Sequence[tuple[float, float]], limit: int = MAX_POINTS) -> list[tuple[float, float]]:
    """At most ``limit`` points: runs of neighbours are replaced by their means; few points stay as they are."""
    if len(points) <= limit:
        return list(points)
    bounds = [round(i * len(points) / limit) for i in range(limit + 1)]
    groups = [points[low:high] for low, high in pairwise(bounds)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def _read_points(path: Path) -> tuple[tuple[float, float], ...]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t")
            columns = [name for name in reader.fieldnames or [] if name not in ("step", "timestamp")]
            if len(columns) != 1 or "step" not in (reader.fieldnames or []):
                raise DataError(f"{path}: columns `step` and one metric are needed. Train again.")
            points = [(float(row["step"]), float(row[columns[0]])) for row in reader]
    except (ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path}: not a curve of numbers. Train again.") from error
    return tuple(sorted(point for point in points if all(abs(value) < 1e30 for value in point)))
