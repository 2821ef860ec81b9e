"""Scores of made-up videos."""

from __future__ import annotations

import torch
from helpers.fit_data import NAMES

from bike.evaluate.scores import Scores, targets_of
from bike.evaluate.views import video_scores
from bike.records import Sample


def fake_scores(keys: list[str], seed: int, *, views: int = 2, labels: tuple[int, ...] = (0, 1, 2, 0)) -> Scores:
    """Random logits of three classes."""
    logits = torch.randn(len(keys) * views, 3, generator=torch.Generator().manual_seed(seed))
    targets = targets_of([Sample(k, k, k, (label,), 1) for k, label in zip(keys, labels, strict=True)], 3)
    return Scores(keys, NAMES, video_scores(logits, views), targets, logits, views)
