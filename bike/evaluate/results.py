"""What an evaluation leaves in its folder, and how scores are read back.

``metrics.json`` (written last) and ``timing.json``; ``per_class.csv``: label,name,videos,top1,ap; ``confusion.csv``:
actual,predicted, one row per video; ``predictions.csv``: key,label,prediction,score; ``scores.safetensors``: ``scores``
(N,K), ``labels`` (N,K) 0 or 1, ``logits`` (N·V,K) where there are any, and keys and class names in its header.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from bike.errors import DataError, one_line
from bike.evaluate.metrics import (
    average_precision,
    class_accuracy,
    label_ranks,
    mean_average_precision,
    mean_class_accuracy,
)
from bike.files import atomic_write, csv_writer, existing_file, write_json

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
    """

    keys: list[str]
    names: list[str]
    scores: Tensor
    targets: Tensor
    logits: Tensor | None = None
    num_views: int = 1

    @property
    def is_multi_label(self) -> bool:
        """Whether some video shows more than one class."""
        return bool((self.targets.sum(1) > 1).any())


def summarize(scores: Scores) -> dict[str, float | int | None]:
    """Top-1, top-5, mean class accuracy and mAP in percent, and the number of videos.

    Videos without a label count for mAP only. Where videos have several labels, top-k asks whether one of the k best
    classes is among them, and there is no mean class accuracy.
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
        ranks = label_ranks(found, labels)
        top1, top5 = (float((ranks < k).double().mean()) * 100 for k in (1, 5))
        mean_class = round(mean_class_accuracy(found, labels), 4)
    return {
        "top1": round(top1, 4),
        "top5": round(top5, 4),
        "mean_class": mean_class,
        "map": round(mean_average_precision(scores.scores, scores.targets), 4),
        "videos": len(scores.keys),
    }


def write_results(
    out: Path | str, scores: Scores, *, seconds: float, extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write every file of an evaluation; ``metrics.json`` comes last.

    Args:
        out: folder.
        scores: of all videos, at least one of which has a label.
        seconds: wall time.
        extra: more entries of ``metrics.json``.

    Returns:
        What stands in ``metrics.json``.

    Raises:
        BikeError: the folder can't be written to.
    """
    out = Path(out)
    (out / "metrics.json").unlink(missing_ok=True)
    metrics = {**summarize(scores), **(extra or {})}
    _write_rows(out / "per_class.csv", ("label", "name", "videos", "top1", "ap"), _class_rows(scores))
    best = scores.scores.argmax(1).tolist()
    shown = [row.nonzero()[:, 0].tolist() for row in scores.targets]
    pairs = [(b if b in labels else labels[0], b) for labels, b in zip(shown, best, strict=True) if labels]
    names = scores.names
    _write_rows(out / "confusion.csv", ("actual", "predicted"), ((names[a], names[p]) for a, p in pairs))
    rows = zip(scores.keys, shown, best, scores.scores.max(1).values.tolist(), strict=True)
    _write_rows(
        out / "predictions.csv",
        ("key", "label", "prediction", "score"),
        ((key, " ".join(map(str, labels)), b, f"{score:.6g}") for key, labels, b, score in rows),
    )
    write_scores(out / SCORES_NAME, scores)
    write_json(out / "timing.json", {"seconds": round(seconds, 3)})
    write_json(out / "metrics.json", metrics)
    return metrics


def _class_rows(scores: Scores) -> Iterable[tuple[object, ...]]:
    count = scores.targets.sum(0, dtype=torch.int64).tolist()
    precision = average_precision(scores.scores, scores.targets).tolist()
    if scores.is_multi_label:
        accuracy = [math.nan] * len(count)
    else:
        labelled = scores.targets.bool().any(1)
        accuracy = class_accuracy(scores.scores[labelled], scores.targets[labelled].long().argmax(1)).tolist()
    for label, name in enumerate(scores.names):
        seen = bool(count[label])
        top1 = f"{accuracy[label]:.4f}" if math.isfinite(accuracy[label]) else ""
        yield label, name, count[label], top1, f"{precision[label] * 100:.4f}" if seen else ""


def _write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with atomic_write(path, "w") as file:
        writer = csv_writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def write_scores(path: Path | str, scores: Scores) -> None:
    """Write scores as safetensors; equal scores give equal bytes."""
    tensors = {"scores": scores.scores.float().contiguous(), "labels": scores.targets.contiguous()}
    if scores.logits is not None:
        tensors["logits"] = scores.logits.float().contiguous()
    header = {"keys": scores.keys, "names": scores.names, "num_views": scores.num_views}
    with atomic_write(path) as file:
        file.write(to_safetensors(tensors, {HEADER: json.dumps(header)}))


def read_scores(place: Path | str) -> Scores:
    """Read ``scores.safetensors``, given itself or its folder.

    Raises:
        DataError: not such a file, or its parts do not belong together.
        BikeError: there is none.
    """
    place = Path(place)
    path = existing_file(place / SCORES_NAME if place.is_dir() else place)
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "{}"))
            tensors = {name: file.get_tensor(name) for name in ("scores", "labels", "logits") if name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
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
    )


def _find_problem(header: Any, tensors: Mapping[str, Tensor]) -> str:
    """What is wrong with a scores file; an empty text when nothing is."""
    if not isinstance(header, dict) or not {"keys", "names", "num_views"} <= set(header):
        return "keys and class names are missing from its header"
    keys, names, views = header["keys"], header["names"], header["num_views"]
    texts = isinstance(keys, list) and isinstance(names, list) and all(isinstance(t, str) for t in [*keys, *names])
    if not texts or len(set(keys)) < len(keys) or not isinstance(views, int) or views < 1:
        return "keys, class names or the number of views in its header make no sense"
    shape = (len(keys), len(names))
    scores, labels, logits = (tensors.get(name) for name in ("scores", "labels", "logits"))
    if scores is None or labels is None or scores.shape != shape or labels.shape != shape:
        return f"scores and labels of shape {shape} are needed"
    if scores.dtype != torch.float32 or labels.dtype != torch.uint8:
        return "scores must be float32 and labels uint8"
    if logits is not None and (logits.shape != (shape[0] * views, shape[1]) or logits.dtype != torch.float32):
        return f"logits must be float32 of shape {(shape[0] * views, shape[1])}"
    if not scores.isfinite().all() or not ((labels == 0) | (labels == 1)).all():
        return "scores must be finite and labels 0 or 1"
    return ""
