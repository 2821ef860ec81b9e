"""Scores of videos: their file, and what they sum up to."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.fit_data import NAMES
from helpers.scores import fake_scores
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from bike.errors import DataError
from bike.evaluate.scores import Scores, other_order, read_scores, right_videos, summarize, write_scores


def test_multi_label_metrics() -> None:
    scores = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.4, 0.35, 0.25]])
    targets = torch.tensor([[0, 1, 1], [0, 0, 1], [0, 0, 0]], dtype=torch.uint8)
    metrics = summarize(Scores(["a", "b", "c"], NAMES, scores, targets))
    assert metrics["top1"] == 50  # of the two videos that show anything, the second
    assert metrics["top5"] == 100
    assert metrics["mean_class"] is None
    assert metrics["videos"] == 3
    # Class 1: its video stands second. Class 2: its videos stand first and third.
    assert metrics["map"] == pytest.approx(100 * (0 + 1 / 2 + (1 + 2 / 3) / 2) / 3, abs=1e-3)
    # Class 0 left out; or the third video, which shows nothing: class 1 stands first then.
    assert metrics["map_seen_classes"] == pytest.approx(100 * (1 / 2 + (1 + 2 / 3) / 2) / 2, abs=1e-3)
    assert metrics["map_labelled_videos"] == pytest.approx(100 * (0 + 1 + 1) / 3, abs=1e-3)
    assert (metrics["empty_classes"], metrics["unlabelled_videos"]) == (1, 1)


def test_right_videos_are_those_whose_best_class_is_one_of_theirs() -> None:
    scores = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.1, 0.2, 0.7], [0.9, 0.1, 0.0]])
    targets = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 0, 0]], dtype=torch.uint8)
    given = Scores(["first of equals", "second", "one of two", "unlabelled"], NAMES, scores, targets)
    assert right_videos(given) == {"first of equals": 1, "second": 0, "one of two": 1}
    metrics = summarize(given)
    assert metrics["top1_low"] < metrics["top1"] < metrics["top1_high"]  # type: ignore[operator]


def test_scores_have_reproducible_bytes_and_are_checked_when_read(tmp_path: Path) -> None:
    scores = fake_scores(["a", "b", "c", "é\udcff"], 0)
    path = tmp_path / "scores.safetensors"
    write_scores(path, scores)
    before = path.read_bytes()
    write_scores(path, scores)
    assert path.read_bytes() == before
    assert read_scores(path).keys == scores.keys
    with safe_open(path, "pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    about = header["bike"]
    for changes, text in (
        ({"scores": tensors["scores"][:2]}, about),
        ({"labels": tensors["labels"].float()}, about),
        ({"logits": tensors["logits"][:3]}, about),
        ({"scores": tensors["scores"] / 0}, about),
        ({"logits": tensors["logits"] * torch.nan}, about),
        ({"labels": tensors["labels"] + 1}, about),
        ({}, None),
        ({}, "[]"),
        ({}, '{"keys": ["a", "a"], "names": ["x"], "num_views": 1}'),
        ({}, "{"),
        ({}, about.replace('"branch": ""', '"branch": []')),
        ({}, about.replace('"mismatch": {}', '"mismatch": {"a": 1}')),
    ):
        save_file({**tensors, **changes}, path, None if text is None else {"bike": text})
        with pytest.raises(DataError, match=r"scores\.safetensors: .*Evaluate again"):
            read_scores(path)
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="not a scores file"):
        read_scores(path)


def predicted(labels: list[int], best: list[int], num_classes: int) -> Scores:
    eye = torch.eye(num_classes)
    return Scores(list(map(str, labels)), list("abcdefgh"[:num_classes]), eye[best], eye[labels].byte())


@pytest.mark.parametrize(
    ("moves", "told"),
    [
        ({0: 1, 1: 2, 2: 0, 3: 3}, "class 0 'a' are given class 1 'b', and so on for 3 classes"),
        ({0: 0, 1: 1, 2: 3, 3: 4, 4: 5, 5: 2, 6: 6}, "class 2 'c' are given class 3 'd', and so on for 4 classes"),
        ({0: 0, 1: 1, 2: 3, 3: 4, 4: 2, 5: 5}, ""),  # half of the videos are right
        ({0: 1, 1: 0, 2: 2}, ""),  # two classes may be confused with each other
        ({0: 1, 1: 1, 2: 1, 3: 1}, ""),  # a model that knows nothing
    ],
)
def test_another_order_of_classes_is_seen_in_the_scores(moves: dict[int, int], told: str) -> None:
    labels = [label for label in moves for _ in range(5)]
    best = [moves[label] for label in labels]
    found = other_order(predicted([*labels, 0, 1], [*best, 2, 0], 8))  # a few are given another one
    assert told in found
    assert bool(found) == bool(told)


def test_chance_is_not_taken_for_another_order() -> None:
    generator = torch.Generator().manual_seed(0)
    for classes, videos in ((3, 9), (5, 15), (8, 40), (8, 400)) * 50:
        labels, best = (torch.randint(classes, (videos,), generator=generator).tolist() for _ in range(2))
        assert other_order(predicted(labels, best, classes)) == ""
