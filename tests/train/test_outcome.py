"""What must hold before a training starts."""

from __future__ import annotations

import pytest

from bike.records import Sample
from bike.train.outcome import check_trainable


def test_samples_of_one_class_are_told(caplog: pytest.LogCaptureFixture) -> None:
    samples = [Sample(key, key, f"{key}.mp4", (label,), 8) for key, label in (("a", 1), ("b", 1), ("c", 0))]
    check_trainable(samples, "list.csv")
    assert caplog.messages == []
    check_trainable(samples[:2], "list.csv")
    assert caplog.messages == [
        "list.csv: all samples are of one class, and training learns from what tells classes apart"
    ]
