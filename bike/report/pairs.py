"""Order pairs: classes that show the same things, so that only the order of the frames tells one from the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bike.errors import DataError, ParamsError, nearest
from bike.evaluate.results import read_confusion, read_per_class
from bike.evaluate.scores import SCORES_NAME, Scores, read_scores


@dataclass(frozen=True, slots=True)
class PairResult:
    """How well an evaluation tells two classes apart."""

    pair: tuple[str, str]  # the two class names
    # percent of their videos given the right class out of all classes; None without `confusion.csv`
    correct: float | None
    # percent for which the right one of the two scores higher (chance: 50); None without a scores file
    forced: float | None


def pair_results(folder: Path, pairs: Sequence[tuple[str, str]]) -> list[PairResult]:
    """How well the evaluation in ``folder`` tells each pair of classes apart.

    Returns:
        One result for each pair that has videos; none at all where ``per_class.csv`` is missing.

    Raises:
        ParamsError: only one name of a pair is a class. Pairs of another data set are passed over.
        DataError: a file does not hold what it should.
    """
    if not pairs or not (folder / "per_class.csv").is_file():
        return []
    videos = {item.name: item.videos for item in read_per_class(folder / "per_class.csv")}
    known = [pair for pair in dict.fromkeys(pairs) if any(name in videos for name in pair)]
    for name in (name for pair in known for name in pair if name not in videos):
        hint = nearest(name, videos)
        raise ParamsError(f"report.order_pairs: {name!r} is not a class in {folder}.{hint} Name two classes a pair.")
    shown = [pair for pair in known if any(videos[name] for name in pair)]
    confusion = read_confusion(folder / "confusion.csv") if (folder / "confusion.csv").is_file() else Counter()
    scores = read_scores(folder) if shown and (folder / SCORES_NAME).is_file() else None
    if scores and scores.names != list(videos):
        raise DataError(f"{folder}: {SCORES_NAME} and per_class.csv have other classes. Evaluate again.")
    return [
        PairResult(pair, _correct(confusion, pair), _forced_choice(scores, pair) if scores else None) for pair in shown
    ]


def _correct(confusion: Counter[tuple[str, str]], pair: tuple[str, str]) -> float | None:
    videos = sum(count for (actual, _), count in confusion.items() if actual in pair)
    return 100 * sum(confusion[name, name] for name in pair) / videos if videos else None


def _forced_choice(scores: Scores, pair: tuple[str, str]) -> float | None:
    columns = [scores.names.index(name) for name in pair]
    first, second = scores.scores[:, columns].T
    shows_first, shows_second = scores.targets[:, columns].bool().T
    margins = torch.cat([(first - second)[shows_first], (second - first)[shows_second]])
    wins = (margins.sign().double() + 1) / 2  # a tie counts half
    return 100 * float(wins.sum()) / len(wins) if len(wins) else None
