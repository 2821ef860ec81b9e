"""Order pairs: classes that show the same things, so that only the order of the frames tells one from the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bike.errors import DataError, ParamsError, nearest
from bike.evaluate.results import read_confusion, read_per_class
from bike.files import existing_file


@dataclass(frozen=True, slots=True)
class PairResult:
    """How well an evaluation tells two classes apart.

    Attributes:
        pair: the two class names.
        videos: videos of either class.
        correct: percent of them given the right class out of all classes; None without ``confusion.csv``.
        forced: percent for which the right one of the two scores higher (chance: 50); None without a scores file.
    """

    pair: tuple[str, str]
    videos: int
    correct: float | None
    forced: float | None


def pair_results(folder: Path, pairs: Sequence[tuple[str, str]]) -> list[PairResult]:
    """How well the evaluation in ``folder`` tells each pair of classes apart.

    Args:
        folder: holds ``per_class.csv`` and perhaps ``confusion.csv`` and ``scores.safetensors`` (``scores`` and
            ``labels``, both (N,K)).
        pairs: class names.

    Returns:
        One result for each pair that has videos; none at all where ``per_class.csv`` is missing.

    Raises:
        ParamsError: only one name of a pair is a class. Pairs of another data set are passed over.
        DataError: a file does not hold what it should.
    """
    if not pairs or not (folder / "per_class.csv").is_file():
        return []
    classes = {item.name: item for item in read_per_class(folder / "per_class.csv")}
    pairs = [pair for pair in pairs if any(name in classes for name in pair)]
    for name in (name for pair in pairs for name in pair):
        if name not in classes:
            hint = nearest(name, classes)
            raise ParamsError(
                f"report.order_pairs: {name!r} is not a class in {folder}.{hint} Name two classes a pair."
            )
    if not pairs:
        return []
    forced = _forced_choices(folder / "scores.safetensors", [(classes[a].label, classes[b].label) for a, b in pairs])
    correct = _correct(folder / "confusion.csv", pairs)
    videos = [sum(classes[name].videos for name in pair) for pair in pairs]
    return [
        PairResult(pair, count, right, choice)
        for pair, count, right, choice in zip(pairs, videos, correct, forced, strict=True)
        if count
    ]


def _correct(path: Path, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
    """Percent of the videos of each pair that were given their class."""
    if not path.is_file():
        return [None] * len(pairs)
    confusion = read_confusion(path)
    found: list[float | None] = []
    for pair in pairs:
        videos = sum(count for (actual, _), count in confusion.items() if actual in pair)
        found.append(100 * sum(confusion[name, name] for name in pair) / videos if videos else None)
    return found


def _forced_choices(path: Path, pairs: Sequence[tuple[int, int]]) -> list[float | None]:
    """Percent of the videos of each pair for which the right class scores higher; a tie counts half."""
    if not path.is_file():
        return [None] * len(pairs)
    scores, labels = read_scores(path)
    highest = max(max(pair) for pair in pairs)
    if scores.shape[1] <= highest:
        raise DataError(f"{path}: {scores.shape[1]} classes, but an order pair has class {highest}. Evaluate again.")
    found: list[float | None] = []
    for first, second in pairs:
        wins: list[float] = []
        for right, wrong in ((first, second), (second, first)):
            chosen = scores[labels[:, right] > 0]
            margin = chosen[:, right] - chosen[:, wrong]
            wins += (0.5 * (np.sign(margin) + 1)).tolist()
        found.append(100 * sum(wins) / len(wins) if wins else None)
    return found


def read_scores(path: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """``scores`` and ``labels``, both (N,K), of a scores file.

    Raises:
        DataError: not such a file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(existing_file(path))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not a safetensors file. Evaluate again.") from error
    scores, labels = tensors.get("scores"), tensors.get("labels")
    if scores is None or labels is None or scores.shape != labels.shape or scores.ndim != 2:
        raise DataError(f"{path}: `scores` and `labels` of one shape (N,K) are needed. Evaluate again.")
    if not np.isfinite(scores).all():
        raise DataError(f"{path}: scores that are not finite. Evaluate again.")
    return scores, labels
