"""The hardest mistakes come from the scores, and are the clips that the page shows."""

from __future__ import annotations

import torch

from bike.evaluate.scores import Scores
from bike.records import Sample
from bike.report.mistakes import hardest_first, verdicts
from bike.report.saliency import choose_clips

SCORES = Scores(
    [f"v{i}" for i in range(7)],
    ["a", "b", "c"],
    torch.tensor([[5, 1, 0], [2, 4, 1], [0, 1, 3], [0, 1, 9], [4, 4, 0], [1, 2, 0], [0, 0, 4]], dtype=torch.float32)
    / 10,
    torch.tensor([[1, 0, 0], [1, 0, 1], [0, 0, 1], [0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]], dtype=torch.uint8),
)
SAMPLES = [Sample(key, key, key, (0,), 8) for key in SCORES.keys if key != "v3"]


def test_verdicts_say_what_was_shown_predicted_and_scored() -> None:
    said = verdicts(SCORES)
    assert sorted(said) == ["v0", "v1", "v2", "v4", "v5", "v6"]  # v3 has no label
    assert (said["v1"].labels, said["v1"].predicted, said["v1"].right) == ((0, 2), 1, False)
    assert (round(said["v1"].score, 4), round(said["v1"].own, 4)) == (0.4, 0.2)
    assert said["v4"].predicted == 0  # of equals the first, as in metrics


def test_the_surest_mistakes_come_first_and_right_ones_never() -> None:
    assert [one.key for one in hardest_first(verdicts(SCORES).values())] == ["v1", "v4", "v6"]


def test_clips_are_the_hardest_mistakes_and_a_third_that_was_right() -> None:
    said = verdicts(SCORES)
    chosen = [sample.key for sample in choose_clips(SAMPLES, said, 3, seed=0)]
    assert chosen[:2] == ["v1", "v4"]
    assert chosen[2] in ("v0", "v2", "v5")
    assert chosen == [sample.key for sample in choose_clips(SAMPLES[::-1], said, 3, seed=0)]
    many = [sample.key for sample in choose_clips(SAMPLES, said, 100, seed=0)]
    assert many[:3] == ["v1", "v4", "v6"]
    assert sorted(many) == [sample.key for sample in SAMPLES]
    assert [sample.key for sample in choose_clips(SAMPLES[:1], said, 3, seed=0)] == ["v0"]
    assert choose_clips(SAMPLES, said, 0, seed=0) == []
    assert len(choose_clips(SAMPLES, {}, 4, seed=0)) == 4
