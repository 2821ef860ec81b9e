"""Zero-shot protocols."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from bike.evaluate import zeroshot
from bike.evaluate.zeroshot import (
    frame_scores,
    half_class_accuracy,
    half_classes,
    mean_and_std,
    read_class_split,
    split_accuracy,
)


def test_accuracies_equal_the_published_ones(golden: Path) -> None:
    tensors = load_file(golden / "zeroshot.safetensors")
    expected = json.loads((golden / "zeroshot.json").read_text())
    measured = half_class_accuracy(tensors["video_features"], tensors["text_features"], tensors["labels"])
    assert measured.keys() == expected.keys()
    for name, value in expected.items():
        assert measured[name] == pytest.approx(value, abs=1e-4), name


def small_case(videos: int = 40, classes: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    class_features = torch.randn(classes, 16, generator=rng)
    labels = torch.arange(videos) % classes
    noise = torch.randn(videos, 4, 16, generator=rng)
    return 0.05 * (class_features[labels][:, None] + 1.5 * noise), class_features, labels


def test_frame_scores_by_hand_and_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = torch.tensor([[[0.02, 0.0], [0.0, 0.01]]])
    classes = torch.tensor([[5.0, 0.0], [0.0, 0.1]])  # normalised, frames are not
    expected = (torch.tensor([2.0, 0.0]).softmax(0) + torch.tensor([0.0, 1.0]).softmax(0)) / 2
    torch.testing.assert_close(frame_scores(frames, classes)[0].float(), expected)
    frames, classes, _ = small_case()
    whole = frame_scores(frames, classes)
    monkeypatch.setattr(zeroshot, "CHUNK_VIDEOS", 7)
    torch.testing.assert_close(frame_scores(frames, classes), whole)


def test_halves_are_numpys() -> None:
    np.random.seed(3)  # the protocol's own words
    expected = np.random.permutation(51)[:25].tolist()
    np.random.seed(None)
    assert half_classes(51, 3) == expected
    state = np.random.get_state()[1]
    half_classes(51, 3)
    assert (np.random.get_state()[1] == state).all()  # the global generator is left alone
    assert len({tuple(half_classes(51, seed)) for seed in range(10)}) == 10
    with pytest.raises(ValueError, match="at least 2 classes"):
        half_classes(1, 0)


def test_fewer_classes_are_easier() -> None:
    halves = split_accuracy(*small_case(), [half_classes(9, seed) for seed in range(4)])
    measured = half_class_accuracy(*small_case(), repeats=4)
    assert (measured["half_top1"], measured["half_top5"]) == (halves["top1"], halves["top5"])
    mean, _ = mean_and_std(halves["top1"])
    assert mean > split_accuracy(*small_case(), [range(9)])["top1"][0] > 100 / 9


def test_split_accuracy_by_hand() -> None:
    classes = torch.eye(4)
    labels = torch.tensor([0, 1, 2, 3, 3])
    best = [0, 3, 2, 3, 1]  # two videos are taken for another class
    frames = torch.eye(4)[best][:, None].expand(5, 2, 4) * 0.1
    result = split_accuracy(frames, classes, labels, [[0, 2], [3, 0, 1], [1, 3]])
    assert result["top1"] == [100, 50, pytest.approx(100 / 3)]
    assert result["top5"] == [100, 100, 100]
    # The order of a split's classes does not matter.
    assert split_accuracy(frames, classes, labels, [[1, 3, 0]])["top1"] == [50]


def test_a_split_names_classes_by_their_exact_spelling_first(tmp_path: Path) -> None:
    (tmp_path / "split.txt").write_text("Jump\nRUN\n")
    assert read_class_split(tmp_path / "split.txt", ["Jump", "jump", "run"]) == [0, 2]


@pytest.mark.parametrize(
    ("splits", "words"),
    [
        ([], "no splits"),
        ([[]], "split 1"),
        ([[8]], "none of its 1 classes has a video"),
        ([[0], [1, 1]], "split 2"),
        ([[9]], "from 0 to 8"),
        ([[-1]], "split 1"),
    ],
)
def test_bad_splits_are_refused(splits: list[list[int]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        split_accuracy(*small_case(videos=8), splits)  # nine classes


def test_mean_and_std_as_in_the_published_table() -> None:
    mean, std = mean_and_std([70.14, 68.31, 67.15])
    assert (round(mean, 2), round(std, 2)) == (68.53, 1.23)
    with pytest.raises(ValueError, match="no values"):
        mean_and_std([])
