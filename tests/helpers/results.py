"""Synthetic results, lists and clips in the pipeline's file formats, for the tests of the report."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike

from bike.evaluate import results
from bike.evaluate.scores import Scores
from bike.records import Sample, VideoRecord, write_labels, write_list, write_manifest
from bike.report.saliency import SaliencyStrip

NAMES = (
    "a ball rolls left",
    "a ball rolls right",
    "a square grows",
    "a square shrinks",
    "two rings join",
    "a ring splits",
)
PAIRS = ((NAMES[0], NAMES[1]), (NAMES[2], NAMES[3]))


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def write_evaluation(
    folder: Path, *, names: Sequence[str] = NAMES, per_class: int = 4, skill: float = 0.8, seed: int = 0
) -> None:
    """An evaluation whose predictions are right with probability ``skill``."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(names)), per_class)
    scores = rng.random((len(labels), len(names)))
    scores[np.arange(len(labels)), labels] += rng.random(len(labels)) < skill
    write_scored(folder, scores, labels, names)


def write_scored(folder: Path, scores: ArrayLike, labels: ArrayLike, names: Sequence[str]) -> None:
    """The files of an evaluation with these scores (N, K) and labels (N,)."""
    values = torch.from_numpy(np.array(scores, np.float32))
    targets = torch.from_numpy(np.eye(len(names), dtype=np.uint8)[np.array(labels)])
    keys = [f"video-{i:03d}" for i in range(len(values))]
    results.write_results(folder, Scores(keys, list(names), values, targets))


def write_results(root: Path, *, names: Sequence[str] = NAMES, per_class: int = 4) -> Path:
    """A whole results folder: every method, two views, and curves."""
    skills = {"zeroshot": 0.15, "video-none-dp": 0.4, "video-none-vcs": 0.45, "video-transf-dp": 0.7}
    skills |= {"video-transf-vcs": 0.8, "fuse": 0.85}
    for i, (name, skill) in enumerate(skills.items()):
        for views in ("1x1", "4x3"):
            extra = 0.05 * (views == "4x3")
            folder = root / name / views
            write_evaluation(folder, names=names, per_class=per_class, skill=skill + extra, seed=i)
    write_evaluation(root / "attributes", names=names, per_class=per_class, skill=0.3, seed=9)
    for seed, run in enumerate(("train/video-none-vcs", "train/video-transf-vcs", "train/attributes", "pretrain")):
        write_curves(root / run, seed=seed)
    return root


def write_curves(run: Path, *, seed: int = 0, steps: int = 400) -> None:
    """A run's folder as dvclive leaves it."""
    rng = np.random.default_rng(seed)
    at = np.arange(steps)
    values = {
        "train/loss": (4.5 - 0.3 * seed) * np.exp(-at / 150) + 0.6 + rng.normal(0, 0.08, steps),
        "lr": 5e-4 * np.minimum(at / 60, 0.5 * (1 + np.cos(np.pi * at / steps))),
        "val/top1": np.maximum(0, 80 * (1 - np.exp(-at / 120)) + rng.normal(0, 2, steps) - 8 * seed),
    }
    for name, series in values.items():
        path = run / "plots" / "metrics" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{step}\t{value}" for step, value in zip(at, series, strict=True)]
        path.write_text(f"step\t{name.split('/')[-1]}\n" + "\n".join(lines) + "\n", encoding="utf-8")
    (run / "metrics.json").write_text('{"train": {"loss": 0.6}, "step": 399}', encoding="utf-8")


def write_data(folder: Path, *, names: Sequence[str] = NAMES, per_class: int = 4) -> tuple[Path, Path]:
    """Lists with an audit, and a manifest with three rejected files; returns both paths."""
    lists = folder / "lists"
    write_labels(lists / "labels.csv", names)
    records = []
    for split in ("train", "val", "test"):
        samples = [
            Sample(f"{split}-{i:03d}", f"{split}-{i:03d}", f"{split}/{i:03d}.mp4", (i % len(names),), 60)
            for i in range(per_class * len(names))
        ]
        write_list(lists / f"{split}.csv", samples)
        records += [VideoRecord(s.video, s.path, "ok", s.frames, 25.0, 128, 96, 2.4, 90_000) for s in samples]
    reasons = {
        "a/0040.mp4": "truncated: 12 of 75 frames decode",
        "b/0041.mp4": "empty file",
        "c/0042.mp4": "no video stream",
    }
    records += [VideoRecord(path[:1], path, "rejected", error=reason) for path, reason in reasons.items()]
    write_manifest(folder / "manifest.csv", records)
    audit = [("rejected", "drop", "train", path, "1", reason) for path, reason in reasons.items()]
    write_csv(lists / "audit.csv", ("finding", "action", "list", "path", "label", "detail"), audit)
    return lists, folder / "manifest.csv"


def make_strips(count: int = 3, frames: int = 8, side: int = 64) -> list[SaliencyStrip]:
    """A bright square that crosses a dark frame; the middle frames count most."""
    strips = []
    for number in range(count):
        pictures = np.full((frames, side, side * 4 // 3, 3), (30, 40, 60 + 20 * number), np.uint8)
        for t in range(frames):
            x = 4 + t * (side - 12) // frames
            pictures[t, side // 3 : side // 3 + 14, x : x + 14] = (240, 180 - 40 * number, 60)
        weights = np.exp(-0.5 * ((np.arange(frames) - frames / 2 - number) / 1.2) ** 2)
        predicted = NAMES[number] if number % 2 == 0 else NAMES[number - 1]
        strips.append(SaliencyStrip(f"test-{number:03d}", NAMES[number], pictures, weights / weights.sum(), predicted))
    return strips
