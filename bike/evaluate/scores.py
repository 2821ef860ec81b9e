"""Scores of N videos: written and read with the keys, labels and class names that they belong to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from jaxtyping import UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from bike.errors import DataError, one_line
from bike.evaluate.intervals import bootstrap_interval
from bike.evaluate.metrics import average_precision, mean_average_precision, mean_class_accuracy, top_k_accuracy
from bike.files import atomic_write, existing_file
from bike.records import Sample

Branch = Literal["video", "zero-shot", "attributes", "fused", ""]

SCORES_NAME = "scores.safetensors"
HEADER = "bike"


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of N videos for K classes.

    Attributes:
        keys: of the samples, N.
        names: of the classes, K.
        scores: float32 (N, K).
        targets: uint8 (N, K), 1 where the video shows the class.
        logits: float32 (N·V, K), raw cosines of each view; None for fused scores.
        num_views: V.
        branch: what gave them; empty in files of earlier versions, which do not say.
        mismatch: what contradicted the checkpoint's contract and was allowed to, in words by name.
    """

    keys: list[str]
    names: list[str]
    scores: Tensor
    targets: Tensor
    logits: Tensor | None = None
    num_views: int = 1
    branch: Branch = ""
    mismatch: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_multi_label(self) -> bool:
        """Whether some video shows more than one class."""
        return bool((self.targets.sum(1) > 1).any())


def right_videos(scores: Scores) -> dict[str, int]:
    """Of every video with a label, by key: 1 where its best scored class is one of its own, otherwise 0."""
    own, best = scores.targets.bool(), scores.scores.argmax(1)  # of equal scores the first class counts, as in metrics
    right = own.gather(1, best[:, None])[:, 0].int().tolist()
    return {key: hit for key, hit, some in zip(scores.keys, right, own.any(1).tolist(), strict=True) if some}


def summarize(scores: Scores) -> dict[str, float | int | None]:
    """Top-1, top-5, mean class accuracy and mAP in percent, and the number of videos.

    ``top1_low`` and ``top1_high`` are the ends of top-1's 95 % interval (:func:`bootstrap_interval`).

    Videos without a label count for mAP only. Where videos have several labels, top-k asks whether one of the k best
    classes is among them, and there is no mean class accuracy.

    ``map`` has the published definition, over all videos at once: a class without videos counts as 0, a video without
    a label as one that shows none of the classes. ``map_seen_classes`` leaves out the former, ``map_labelled_videos``
    the latter (as the authors of Charades do); ``empty_classes`` and ``unlabelled_videos`` are their numbers.
    """
    labelled = scores.targets.bool().any(1)
    targets, found = scores.targets[labelled], scores.scores[labelled]
    if scores.is_multi_label:
        order = found.sort(dim=1, descending=True, stable=True).indices
        hits = targets.gather(1, order).bool()
        top1, top5 = (float(hits[:, :k].any(1).double().mean()) * 100 for k in (1, 5))
        mean_class = None
    else:
        labels = targets.long().argmax(1)
        top1, top5 = (top_k_accuracy(found, labels, k) for k in (1, 5))
        mean_class = round(mean_class_accuracy(found, labels), 4)
    precision, seen = average_precision(scores.scores, scores.targets), scores.targets.bool().any(0)
    low, high = bootstrap_interval(list(right_videos(scores).values()))
    return {
        "top1": round(top1, 4),
        "top1_low": round(low, 4),
        "top1_high": round(high, 4),
        "top5": round(top5, 4),
        "mean_class": mean_class,
        "map": round(float(precision.mean()) * 100, 4),
        "map_seen_classes": round(float(precision[seen].mean()) * 100, 4),
        "map_labelled_videos": round(mean_average_precision(found, targets), 4),
        "videos": len(scores.keys),
        "unlabelled_videos": int((~labelled).sum()),
        "empty_classes": int((~seen).sum()),
    }


def other_order(scores: Scores) -> str:
    """What scores say against the order of the class names, in words; an empty text for nothing.

    A model that tells classes apart, under a list that numbers them in another order, gives most videos of a class one
    other class, which no other's videos get. So it is where that holds for more than half of all videos, and for three
    classes of three videos at least: a model that is merely bad gives one class to many.
    """
    labelled = scores.targets.sum(1) == 1
    labels, best = scores.targets[labelled].long().argmax(1), scores.scores[labelled].argmax(1)
    count = torch.zeros(len(scores.names), len(scores.names), dtype=torch.int64)
    count.index_put_((labels, best), torch.ones_like(labels), accumulate=True)
    most, given = count.max(1)
    classes = torch.arange(len(count))
    moved = (2 * most > count.sum(1)) & (2 * most > count.sum(0)[given]) & (most >= 3) & (given != classes)
    if moved.sum() < 3 or 2 * int(most[moved].sum()) <= len(labels):
        return ""
    first = int(moved.nonzero()[0, 0])
    one, other = (f"{label} {one_line(scores.names[label])[:80]!r}" for label in (first, int(given[first])))
    return (
        f"most videos of class {one} are given class {other}, and so on for {int(moved.sum())} classes: the list seems "
        "to number them in another order than the labels file"
    )


def write_scores(path: Path | str, scores: Scores) -> None:
    """Write scores as safetensors; equal scores give equal bytes."""
    tensors = {"scores": scores.scores.float().contiguous(), "labels": scores.targets.contiguous()}
    if scores.logits is not None:
        tensors["logits"] = scores.logits.float().contiguous()
    # One entry, since safetensors writes several in an order that differs from run to run.
    header: dict[str, Any] = {
        "keys": scores.keys,
        "names": scores.names,
        "num_views": scores.num_views,
        "branch": scores.branch,
    }
    header["mismatch"] = dict(scores.mismatch)
    with atomic_write(path) as file:
        file.write(to_safetensors(tensors, {HEADER: json.dumps(header)}))


def scores_file(place: Path | str) -> Path:
    """``scores.safetensors``, given itself or its folder."""
    return Path(place) / SCORES_NAME if Path(place).is_dir() else Path(place)


def read_scores(place: Path | str) -> Scores:
    """Read ``scores.safetensors``, given itself or its folder.

    Raises:
        DataError: not such a file, or its parts do not belong together.
        BikeError: there is none.
    """
    path = existing_file(scores_file(place))
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "{}"))
            tensors = {name: file.get_tensor(name) for name in ("scores", "labels", "logits") if name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a scores file ({one_line(error)[:200]}). Evaluate again.") from error
    problem = _find_problem(header, tensors)
    if problem:
        raise DataError(f"{path}: {problem}. Evaluate again.")
    return Scores(
        header["keys"],
        header["names"],
        tensors["scores"],
        tensors["labels"],
        tensors.get("logits"),
        header["num_views"],
        header.get("branch", ""),
        header.get("mismatch", {}),
    )


def _find_problem(header: Any, tensors: Mapping[str, Tensor]) -> str:
    """What is wrong with a scores file; an empty text when nothing is."""
    if not isinstance(header, dict) or not {"keys", "names", "num_views"} <= set(header):
        return "keys and class names are missing from its header"
    keys, names, views = header["keys"], header["names"], header["num_views"]
    texts = isinstance(keys, list) and isinstance(names, list) and all(isinstance(t, str) for t in [*keys, *names])
    notes = header.get("mismatch", {})
    known = header.get("branch", "") in get_args(Branch) and isinstance(notes, dict)
    known = known and all(isinstance(note, str) for note in notes.values())
    if not texts or not known or len(set(keys)) < len(keys) or not isinstance(views, int) or views < 1:
        return "keys, class names, branch, notes or the number of views in its header make no sense"
    shape = (len(keys), len(names))
    scores, labels, logits = (tensors.get(name) for name in ("scores", "labels", "logits"))
    if scores is None or labels is None or scores.shape != shape or labels.shape != shape:
        return f"scores and labels of shape {shape} are needed"
    if scores.dtype != torch.float32 or labels.dtype != torch.uint8:
        return "scores must be float32 and labels uint8"
    if logits is not None and (logits.shape != (shape[0] * views, shape[1]) or logits.dtype != torch.float32):
        return f"logits must be float32 of shape {(shape[0] * views, shape[1])}"
    if not all(numbers is None or numbers.isfinite().all() for numbers in (scores, logits)):
        return "scores and logits must be finite: NaN or infinity is in them"
    if not ((labels == 0) | (labels == 1)).all():
        return "labels must be 0 or 1"
    return ""


def targets_of(samples: Sequence[Sample], num_classes: int) -> UInt8[Tensor, "N K"]:
    """Which classes each sample shows."""
    targets = torch.zeros(len(samples), num_classes, dtype=torch.uint8)
    for row, sample in enumerate(samples):
        targets[row, list(sample.labels)] = 1
    return targets
