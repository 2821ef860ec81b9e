"""Metrics in one line, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    return ", ".join([*parts, f"{metrics['videos']} videos"])
