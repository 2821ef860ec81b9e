"""What must hold before a training starts."""

from __future__ import annotations

import pytest

from bike.errors import DataError
from bike.records import Sample
from bike.train.outcome import check_trainable, tell_shared


def test_samples_of_one_class_are_told(caplog: pytest.LogCaptureFixture) -> None:
    samples = [Sample(key, key, f"{key}.mp4", (label,), 8) for key, label in (("a", 1), ("b", 1), ("c", 0))]
    check_trainable(samples, "list.csv", 3)
    assert caplog.messages == []
    check_trainable(samples[:2], "list.csv", 2)
    assert caplog.messages == [
        "list.csv: all samples are of one class, and training learns from what tells classes apart"
    ]


@pytest.mark.parametrize(
    ("count", "remedy"), [(3, r"Set train_attributes\.batch_size to 3 or less"), (1, "Bring more")]
)
def test_a_list_shorter_than_a_batch_is_refused_with_what_to_do(count: int, remedy: str) -> None:
    samples = [Sample(str(number), str(number), "a.mp4", (number,), 8) for number in range(count)]
    with pytest.raises(DataError, match=rf"list\.csv: {count} samples, fewer than one batch of 4; .*\. {remedy}"):
        check_trainable(samples, "list.csv", 4, "train_attributes")


def test_videos_of_both_lists_are_told(caplog: pytest.LogCaptureFixture) -> None:
    training = [Sample(f"{name}-{part}", name, f"{name}.mp4", (0,), 8) for name in "abc" for part in (1, 2)]
    validation = [Sample(name, name, f"{name}.mp4", (0,), 8) for name in "bcd"]
    tell_shared(training, [*validation, Sample("a", "a", "other/a.mp4", (0,), 8)], ("train.csv", "val.csv"))
    assert caplog.messages == ["train.csv and val.csv share 2 videos, whose validation says little: b.mp4; c.mp4"]
    caplog.clear()
    tell_shared(training, validation[2:], ("train.csv", "val.csv"))
    assert caplog.messages == []
