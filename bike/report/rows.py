"""The result table: one row of numbers for each evaluation below a results folder."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bike.errors import DataError, first_few
from bike.evaluate.results import ClassResult, read_numbers, read_per_class
from bike.files import existing_dir
from bike.records import other_class
from bike.report.pairs import PairResult, pair_results

PERCENTS = ("top1", "top5", "mean_class", "map")
TRAINING = ("train", "pretrain", "pretrain_strong")  # folders below results/ with curves, not evaluations
MOST_VIDEOS = 1 << 40  # of an evaluation; more is damage
OTHERS = (*TRAINING, "zoo")  # and with results on other data sets
# Folder name below results/ -> (method, head), in the order of the table.
KNOWN: dict[str, tuple[str, str]] = {
    "zeroshot": ("Zero-shot, pretrained CLIP", ""),
    "video-none-dp": ("Video branch", "none + dp"),
    "video-none-vcs": ("Video branch", "none + vcs"),
    "video-transf-dp": ("Video branch", "transf + dp"),
    "video-transf-vcs": ("Video branch", "transf + vcs"),
    "attributes": ("Attribute branch", ""),
    "fuse": ("Fusion of both branches", ""),
}

# Names in metrics.json, without _mean and _std.
SPREADS = {
    "half_top1": "random halves of the classes, top-1",
    "half_top5": "random halves of the classes, top-5",
    "split_top1": "fixed splits of the classes, top-1",
    "split_top5": "fixed splits of the classes, top-5",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the result table. Percentages are None where the evaluation has no such number."""

    name: str  # folder below `results/`, empty for chance
    # method, head, views: what a reader sees; `views` is clips × crops
    method: str
    head: str = ""
    views: str = ""
    # top1, top5, mean_class, map: percent
    top1: float | None = None
    top5: float | None = None
    mean_class: float | None = None
    map: float | None = None
    videos: int | None = None  # videos scored
    # low, high: ends of the 95 % interval of top1
    low: float | None = None
    high: float | None = None
    # mean over the order pairs of how often the right one of the two scores higher, in percent (chance: 50)
    order: float | None = None
    pairs: tuple[PairResult, ...] = ()  # the figures of each order pair
    # (what, mean, standard deviation) in percent of protocols that average over draws or splits of classes
    spreads: tuple[tuple[str, float, float], ...] = ()
    folder: Path | None = None  # where the numbers are from; None for chance and for what was not run

    @property
    def ran(self) -> bool:
        """Whether there are numbers; the row otherwise reads "not run"."""
        return self.folder is not None or not self.name

    @property
    def spread(self) -> float | None:
        """Half of the 95 % interval of top1."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def place(self) -> str:
        """Its folder below the results, such as ``fuse/4x3``; empty without one."""
        return "/".join(self.folder.parts[-1 - bool(self.views) :]) if self.folder else ""

    @property
    def title(self) -> str:
        """Method, head and views in a few words."""
        words = [self.method + (f" ({self.head})" if self.head else ""), self.views]
        return ", ".join(word for word in words if word)


def results_table(results: Path | str, *, order_pairs: Sequence[tuple[str, str]] = ()) -> list[Row]:
    """The result table: chance first, then every evaluation below ``results``.

    Reads ``<results>/<name>/[<views>/]metrics.json`` (percent, 4 decimals); chance is computed from ``per_class.csv``.
    A method of which nothing is there has one row without numbers. Folders that hold a whole results folder of another
    data set are left out.

    Args:
        results: the folder.
        order_pairs: pairs of class names that only the order of frames tells apart, for ``Row.order``.

    Raises:
        DataError: no evaluation at all, evaluations of other classes, or a file with values that can't be.
        ParamsError: a name in ``order_pairs`` is not a class.
        BikeError: the folder is missing.
    """
    results = existing_dir(results)
    folders = _evaluation_folders(results)
    if not folders:
        raise DataError(f"{results}: no <name>/<views>/metrics.json below it. Run `bike eval` first.")
    rows = [read_row(folder, results, order_pairs) for folder in folders]
    check_same_classes(rows)
    for name, (method, _) in KNOWN.items():
        if not any(row.method == method for row in rows):
            rows.append(Row(name, method))
    rows.sort(key=_table_order)
    # Chance depends on the test split only, so any evaluation of it will do.
    measured = next((row for row in rows if any(item.videos for item in per_class(row))), None)
    return [_chance(measured, bool(order_pairs)), *rows] if measured else rows


def check_complete(results: Path | str, expected: Sequence[str]) -> None:
    """Make sure that each of the folders ``expected`` below ``results``, such as ``fuse/4x3``, has a ``metrics.json``.

    Raises:
        DataError: some are not there; they are named.
    """
    missing = [name for name in expected if not (Path(results) / name / "metrics.json").is_file()]
    if missing:
        raise DataError(f"{results}: no metrics.json in {first_few(missing)}. Run or pull the stages that make them.")


def best_row(rows: Sequence[Row]) -> Row:
    """The evaluation with the highest top-1 (mAP where there is no top-1).

    Of equals the last one in the table counts: what was trained stands below what was not.
    """
    return max(
        (row for row in reversed(rows) if row.folder),
        key=lambda row: (row.top1 is not None, row.top1 or row.map or 0.0),
    )


def chosen_row(rows: Sequence[Row], validation: Mapping[str, float]) -> Row | None:
    """The evaluation of the trained model that does best on the validation split, in the table's last views.

    Args:
        rows: the table.
        validation: of each run of training by name, such as ``video-transf-vcs``: its last validation value.

    Returns:
        The evaluation of the run with the highest value (of equals, the last in the table); None where no run has both.
    """
    known = [row for row in reversed(rows) if row.folder and row.name in validation]
    return max(known, key=lambda row: validation[row.name], default=None)


def find_row(rows: Sequence[Row], name: str, views: str = "") -> Row | None:
    """The evaluation ``name`` with those views, or with its last ones; None when it was not run."""
    found = [row for row in rows if row.name == name and row.folder]
    return next((row for row in found if row.views == views), found[-1] if found else None)


def per_class(row: Row | None) -> list[ClassResult]:
    """Figures of each class of an evaluation; none without ``per_class.csv``."""
    path = row.folder / "per_class.csv" if row and row.folder else None
    return read_per_class(path) if path and path.is_file() else []


def expected_random_ap(positives: int, total: int) -> float:
    """Expected average precision (0 to 1) of a random order of ``total`` items, ``positives`` (at least 1) relevant.

    The item at rank i is relevant with probability positives/total, and then (i-1)(positives-1)/(total-1) relevant
    ones are expected above it; summed over the ranks.
    """
    harmonic = _harmonic(total)
    return (harmonic + (positives - 1) / max(total - 1, 1) * (total - harmonic)) / total


@cache
def _harmonic(total: int) -> float:
    """1 + 1/2 + … + 1/total; beyond a million terms by Euler's formula, which is right to all digits there."""
    if total > 10**6:
        return math.log(total) + 0.5772156649015329 + 1 / (2 * total)
    return sum(1 / rank for rank in range(1, total + 1))


def _evaluation_folders(results: Path) -> list[Path]:
    """Folders with ``metrics.json``, one or two levels down."""
    # <data set>/<name>/<views>/ is a whole results folder of other videos: its figures don't compare with these.
    deeper = {path.relative_to(results).parts[0] for path in results.glob("*/*/*/metrics.json")}
    found = [*results.glob("*/metrics.json"), *results.glob("*/*/metrics.json")]
    return sorted(path.parent for path in found if path.relative_to(results).parts[0] not in {*OTHERS, *deeper})


def read_row(folder: Path, results: Path, order_pairs: Sequence[tuple[str, str]] = ()) -> Row:
    """The row of one evaluation's folder, ``<results>/<name>`` or ``<results>/<name>/<views>``.

    Raises:
        DataError: a file with values that can't be.
    """
    metrics = read_numbers(folder / "metrics.json")
    percents = {name: metrics.get(name) for name in PERCENTS}
    for metric, value in percents.items():
        if value is not None and not 0 <= value <= 100:
            raise DataError(f"{folder / 'metrics.json'}: {metric} must be a percentage (got {value}). Evaluate again.")
    low, high = (metrics.get(f"top1_{end}") for end in ("low", "high"))
    videos = metrics.get("videos")
    if videos is not None and not (0 <= videos <= MOST_VIDEOS and videos == int(videos)):  # false for NaN, too
        raise DataError(f"{folder / 'metrics.json'}: videos must be a count (got {videos}). Evaluate again.")
    name, *views = folder.relative_to(results).parts
    pairs = tuple(pair_results(folder, order_pairs))
    choices = [pair.forced for pair in pairs if pair.forced is not None]
    return Row(
        name,
        *KNOWN.get(name, (name, "")),
        views=re.sub(r"^(\d+)x(\d+)$", r"\1×\2", "".join(views)),
        **percents,  # type: ignore[arg-type]
        videos=None if videos is None else int(videos),
        low=low,
        high=high,
        order=sum(choices) / len(choices) if choices else None,
        pairs=pairs,
        spreads=tuple(
            (title, metrics[f"{key}_mean"], metrics[f"{key}_std"])
            for key, title in SPREADS.items()
            if {f"{key}_mean", f"{key}_std"} <= metrics.keys()
        ),
        folder=folder,
    )


def check_same_classes(rows: Sequence[Row]) -> None:
    """Numbers of other classes, or under another order of their names, say nothing beside each other.

    Raises:
        DataError: some evaluations have other classes than the first.
    """
    named = [(row.folder, [item.name for item in found]) for row in rows if (found := per_class(row))]
    for folder, names in named:
        if different := other_class(names, named[0][1]):
            raise DataError(
                f"{folder} and {named[0][0]}: other classes, {different}. Evaluate again with one labels file, or keep "
                "each data set's results in a folder of its own."
            )


def _table_order(row: Row) -> tuple[int, str, int, str]:
    place = list(KNOWN).index(row.name) if row.name in KNOWN else len(KNOWN)
    views = re.fullmatch(r"(\d+)×(\d+)", row.views)
    return place, row.name, int(views[1]) * int(views[2]) if views else 0, row.views


def _chance(row: Row, pairs: bool) -> Row:
    """What a uniform guess and a random order reach on the videos that ``row`` was measured on."""
    counts = [item.videos for item in per_class(row)]
    videos = row.videos or sum(counts)
    guess = 100 * sum(counts) / (videos * len(counts))  # 1/K where each video has one label
    if max(counts) > videos:
        raise DataError(f"{row.folder}: metrics.json and per_class.csv have other counts of videos. Evaluate again.")
    single = sum(counts) == videos
    precisions = [expected_random_ap(count, videos) for count in counts if count]
    return Row(
        "",
        "Chance",
        top1=guess,
        top5=min(100.0, 5 * guess) if single else None,
        mean_class=100 / len(counts) if single else None,
        map=100 * sum(precisions) / len(precisions),
        videos=videos,
        order=50.0 if pairs else None,
    )
