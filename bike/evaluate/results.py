"""What an evaluation leaves in its folder, and how scores are read back.

``metrics.json`` (written last); ``per_class.csv``: label,name,videos,top1,ap; ``confusion.csv``:
actual,predicted, one row per video; ``predictions.csv``: key,label,prediction,score; ``scores.safetensors``: ``scores``
(N,K), ``labels`` (N,K) 0 or 1, ``logits`` (N·V,K) where there are any, and keys and class names in its header. Beside
the folder, ``<name>.provenance.json``.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from bike.errors import DataError, one_line
from bike.evaluate.metrics import average_precision, class_accuracy
from bike.evaluate.scores import SCORES_NAME, Scores, summarize, write_scores
from bike.files import OutputFolder, check_not_read, claim_folder, read_json, write_json
from bike.files.tables import read_table, write_table
from bike.provenance import check_provenance, write_provenance
from bike.runtime.numerics import chosen_numerics

LAST = "metrics.json"
FILES = ("per_class.csv", "confusion.csv", "predictions.csv", SCORES_NAME, LAST)


@contextmanager
def claim_results(
    out: Path | str,
    *,
    inputs: Iterable[Path | str | None] = (),
    settings: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> Iterator[OutputFolder]:
    """Hold a results' folder while an evaluation works; arguments and errors as :func:`bike.files.claim_folder`."""
    check_not_read([out], inputs)
    check_provenance(Path(out))
    with claim_folder(out, "results", names=FILES, inputs=inputs, settings=settings, replace=replace) as output:
        yield output


def write_results(
    out: OutputFolder | Path | str,
    scores: Scores,
    *,
    extra: Mapping[str, Any] | None = None,
    origin: Mapping[str, Any] | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Write every file of an evaluation; ``metrics.json`` comes last.

    Args:
        out: a folder, or one that is held already.
        scores: of all videos, at least one of which has a label.
        extra: more entries of ``metrics.json``.
        origin, device: as :func:`bike.provenance.write_provenance` takes them; without an origin nothing is written.

    Returns:
        The content of ``metrics.json``.

    Raises:
        BikeError: the folder can't be written to.
    """
    if not isinstance(out, OutputFolder):
        with claim_results(out) as held:
            return write_results(held, scores, extra=extra, origin=origin, device=device)
    metrics = {**summarize(scores), **(extra or {})}
    if scores.mismatch:
        metrics["mismatch"] = dict(scores.mismatch)
    with out.writing(LAST) as folder:
        _write_files(folder, scores, metrics)
    if origin is not None:
        digits = {"numerics": chosen_numerics(), "threads": torch.get_num_threads()}
        write_provenance(out.folder, LAST, {**origin, **digits}, device=device)
    return metrics


def _write_files(out: Path, scores: Scores, metrics: Mapping[str, Any]) -> None:
    write_table(out / "per_class.csv", ("label", "name", "videos", "top1", "ap"), _class_rows(scores))
    best = scores.scores.argmax(1).tolist()
    shown = [row.nonzero()[:, 0].tolist() for row in scores.targets]
    # With several labels the actual class is the predicted one where that is right, otherwise the first.
    pairs = [(b if b in labels else labels[0], b) for labels, b in zip(shown, best, strict=True) if labels]
    names = scores.names
    write_table(out / "confusion.csv", ("actual", "predicted"), ((names[a], names[p]) for a, p in pairs))
    rows = zip(scores.keys, shown, best, scores.scores.max(1).values.tolist(), strict=True)
    write_table(
        out / "predictions.csv",
        ("key", "label", "prediction", "score"),
        ((key, " ".join(map(str, labels)), b, f"{score:.6g}") for key, labels, b, score in rows),
    )
    write_scores(out / SCORES_NAME, scores)
    write_json(out / LAST, metrics)


def _class_rows(scores: Scores) -> Iterable[tuple[object, ...]]:
    count = scores.targets.sum(0, dtype=torch.int64).tolist()
    precision = average_precision(scores.scores, scores.targets).tolist()
    if scores.is_multi_label:
        accuracy = [math.nan] * len(count)
    else:
        labelled = scores.targets.bool().any(1)
        accuracy = class_accuracy(scores.scores[labelled], scores.targets[labelled].long().argmax(1)).tolist()
    for label, name in enumerate(scores.names):
        seen = bool(count[label])
        top1 = f"{accuracy[label]:.4f}" if math.isfinite(accuracy[label]) else ""
        yield label, name, count[label], top1, f"{precision[label] * 100:.4f}" if seen else ""


TITLES = (
    ("top1", "top-1"),
    ("top5", "top-5"),
    ("mean_class", "mean class"),
    ("map", "mAP"),
    ("half_top1_mean", "half-class top-1"),
    ("split_top1_mean", "mean of splits, top-1"),
)


def summary_line(metrics: Mapping[str, Any]) -> str:
    """Such as ``top-1 81.40 %, top-5 95.10 %, …, 19796 videos``."""
    parts = []
    for name, title in TITLES:
        if metrics.get(name) is not None:
            spread = metrics.get(name.replace("_mean", "_std")) if name.endswith("_mean") else None
            parts.append(f"{title} {metrics[name]:.2f}" + (f" ± {spread:.2f}" if spread is not None else "") + " %")
    unlabelled, empty = metrics.get("unlabelled_videos"), metrics.get("empty_classes")
    notes = [f"{unlabelled} without a label, which mAP counts as showing no class"] if unlabelled else []
    notes += [f"{empty} classes without a video count as 0 in mAP"] if empty else []
    return ", ".join([*parts, f"{metrics['videos']} videos"]) + (f" ({'; '.join(notes)})" if notes else "")


@dataclass(frozen=True, slots=True)
class ClassResult:
    """A row of ``per_class.csv``: accuracy and average precision in percent, None for a class without videos."""

    label: int
    name: str
    videos: int
    top1: float | None
    ap: float | None


def read_per_class(path: Path | str) -> list[ClassResult]:
    """Read ``per_class.csv`` (label,name,videos,top1,ap), in the file's order."""
    table = read_table(path, [field.name for field in fields(ClassResult)], exact=True)
    try:
        return [
            ClassResult(_count(label), name, _count(videos), *map(_percent, percents))
            for label, name, videos, *percents in table.to_numpy().tolist()
        ]
    except ValueError as error:
        raise DataError(f"{path}: not classes with their numbers ({one_line(error)}). Evaluate again.") from error


def _count(text: str) -> int:
    if not 0 <= int(text) < 1 << 62:
        raise ValueError(f"{text} is no count")
    return int(text)


def _percent(text: str) -> float | None:
    if not text:
        return None
    if not 0 <= float(text) <= 100:  # false for NaN, too
        raise ValueError(f"{text} is no percentage")
    return float(text)


def read_confusion(path: Path | str) -> Counter[tuple[str, str]]:
    """Read ``confusion.csv``: how many videos of the first class were given the second."""
    table = read_table(path, ("actual", "predicted"))
    return Counter(zip(table["actual"], table["predicted"], strict=True))


def read_numbers(path: Path) -> dict[str, float]:
    """A JSON object's numbers; all else is left out.

    Raises:
        DataError: no such object, or an integer that no float can hold.
    """
    found: Any = read_json(path)
    if not isinstance(found, dict):
        raise DataError(f"{path}: an object of numbers is needed (got {type(found).__name__}). Evaluate again.")
    numbers = {name: value for name, value in found.items() if type(value) in (int, float)}
    for name, value in numbers.items():
        if isinstance(value, int) and abs(value) > sys.float_info.max:
            raise DataError(f"{path}: {one_line(name)[:80]} is too large a number. Evaluate again.")
    return {name: float(value) for name, value in numbers.items()}
