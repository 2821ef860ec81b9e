"""What must hold before a training starts."""

from __future__ import annotations

import pytest

from bike.records import Sample
from bike.train.outcome import check_trainable, tell_shared


def test_samples_of_one_class_are_told(caplog: pytest.LogCaptureFixture) -> None:
    samples = [Sample(key, key, f"{key}.mp4", (label,), 8) for key, label in (("a", 1), ("b", 1), ("c", 0))]
    check_trainable(samples, "list.csv")
    assert caplog.messages == []
    check_trainable(samples[:2], "list.csv")
    assert caplog.messages == [
        "list.csv: all samples are of one class, and training learns from what tells classes apart"
    ]


def test_videos_of_both_lists_are_told(caplog: pytest.LogCaptureFixture) -> None:
    training = [Sample(f"{name}-{part}", name, f"{name}.mp4", (0,), 8) for name in "abc" for part in (1, 2)]
    validation = [Sample(name, name, f"{name}.mp4", (0,), 8) for name in "bcd"]
    tell_shared(training, [*validation, Sample("a", "a", "other/a.mp4", (0,), 8)], ("train.csv", "val.csv"))
    assert caplog.messages == ["train.csv and val.csv share 2 videos, whose validation says little: b.mp4; c.mp4"]
    caplog.clear()
    tell_shared(training, validation[2:], ("train.csv", "val.csv"))
    assert caplog.messages == []
