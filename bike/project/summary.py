"""The last stage of a project: a few numbers for git, and a page that compares them with the published ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bike.errors import BikeError, one_line
from bike.evaluate.metrics import harmonic_mean
from bike.evaluate.results import read_numbers
from bike.evaluate.zeroshot import mean_and_std
from bike.files import atomic_write, write_json
from bike.model.formats.fetch import resolve
from bike.model.formats.inspect import inspect_weights
from bike.model.formats.official import find_official
from bike.model.formats.read import find_file, weights_sha256
from bike.model.layers.architecture import OFFICIAL
from bike.params import Params, parse_params
from bike.project.protocol import Protocol
from bike.project.render import sections_of
from bike.records import read_labels

# What changes rounding, speed or files, and no protocol.
_FREE = {
    "threads",
    "precision",
    "checkpointing",
    "compile",
    "accumulate",
    "timeout_seconds",
    "max_size_mb",
    "payload",
    "validate_every",
}
_FREE_KEYS = {"evaluate.batch_size", "attributes.batch_size", "annotate.classes", "model.start_from"}
# What metrics.json has of tasks that combine several figures.
FIGURES = {
    "splits": ("split_top1_mean", "split_top1_std", "split1_top1", "split2_top1", "split3_top1"),
    "base-to-novel": ("harmonic_mean", "base_top1", "novel_top1"),
}
MAX_KEYS = 8  # `dvc exp show` has a column for each


def summarize_project(
    protocol: Protocol,
    params: Params,
    *,
    results: Sequence[Path],
    further: Mapping[str, Path],
    zeroshot: Path | None,
    lists: Path,
    metrics: Path,
    page: Path,
) -> dict[str, float]:
    """Write ``metrics.json`` and ``summary.md``.

    Args:
        protocol: what the project measures.
        params: as they ran.
        results: folder of the main result; where there are folds, of each.
        further: of results in further views, whose figures have the views behind their names.
        zeroshot: of CLIP without training, for one's own data.
        lists: folder of the lists, for the class names.
        metrics, page: the two files.

    Returns:
        The content of ``metrics.json``: the published figures first, then the usual ones, then how many videos were
        scored, how many the published number scores, and ``measured``: 1 where it is the same measurement, else 0.
    """
    found = _combined(protocol, [read_numbers(folder / "metrics.json") for folder in results])
    for name, folder in further.items():
        found |= {f"{key}_{name}": value for key, value in read_numbers(folder / "metrics.json").items()}
    if zeroshot is not None:
        found["top1_zeroshot"] = read_numbers(zeroshot / "metrics.json").get("top1", 0.0)
    class_names = read_labels(lists / "labels.csv")
    reasons = list(_reasons(protocol, params, found, len(class_names)))
    scored, expected = _videos(protocol, found)
    last = {"videos": sum(scored), "expected": sum(expected)}
    if protocol.task != "own":
        last["measured"] = int(not reasons)
    wanted = [*protocol.published, *FIGURES.get(protocol.task, ("top1_zeroshot", "top1", "top5", "mean_class", "map"))]
    names = [name for name in dict.fromkeys(wanted) if name in found][: MAX_KEYS - len(last)]
    numbers = {**{name: round(found[name], 2) for name in names}, **last}
    with atomic_write(page, "w") as file:
        file.write(_page(protocol, params, found, names, reasons, class_names))
    write_json(metrics, numbers)
    return numbers


def _combined(protocol: Protocol, parts: Sequence[dict[str, float]]) -> dict[str, float]:
    """The numbers of one result, and what several together say: of the folds, or of base and novel classes."""
    found = dict(parts[0])
    if protocol.lists.folds:
        for number, part in enumerate(parts, start=1):
            found |= {f"split{number}_{name}": value for name, value in part.items()}
        for name in ("top1", "top5", "mean_class", "map"):
            mean, std = mean_and_std([part[name] for part in parts])
            found |= {f"split_{name}_mean": mean, f"split_{name}_std": std}
    if protocol.task == "base-to-novel":
        found["base_top1"], found["novel_top1"] = found["split1_top1"], found["split2_top1"]
        found["harmonic_mean"] = harmonic_mean(found["base_top1"], found["novel_top1"])
    return found


def _videos(protocol: Protocol, found: Mapping[str, float]) -> tuple[list[int], list[int]]:
    """Videos scored and expected: of each fold or list of classes, or of the one list."""
    expected = list(protocol.lists.expected)
    if len(expected) > 1:
        return [int(found.get(f"split{number}_videos", 0)) for number in range(1, len(expected) + 1)], expected
    return [int(found.get("videos", 0))], expected


def _reasons(protocol: Protocol, params: Params, found: Mapping[str, float], num_classes: int) -> Iterator[str]:
    """Why this is not the row's own measurement; nothing where it is."""
    scored, expected = _videos(protocol, found)
    if scored != expected:
        yield f"{_counts(scored)} videos were scored, the published number scores {_counts(expected)}"
    if protocol.task == "own":
        return
    if lacking := [name for name in protocol.published if name not in found]:
        yield f"{', '.join(lacking)} was published and not computed"
    if num_classes != protocol.num_classes:
        yield f"present classes only: {num_classes} of {protocol.num_classes}"
    row = parse_params(protocol.params, protocol.name)
    for section in sections_of(protocol):
        if section == "numerics":  # rounding
            continue
        ran, published = getattr(params, section).model_dump(), getattr(row, section).model_dump()
        for key, value in published.items():
            free = key in _FREE or f"{section}.{key}" in _FREE_KEYS
            if ran[key] != value and not free and f"{section}.{key}" != "model.weights":
                yield f"{section}.{key} is {ran[key]}, the row has {value}"
    yield from _other_weights(protocol, params, row)


def _other_weights(protocol: Protocol, params: Params, row: Params) -> Iterator[str]:
    official = find_official(row.model.weights)
    if protocol.task != "zeroshot":  # there the checkpoint has its own encoder
        if find_official(params.model.weights) != official:
            yield f"the weights are {params.model.weights}, the row's are {row.model.weights}"
        elif official is not None and _checksum(params.model.weights) != official.sha256:
            yield f"the file in the place of {official.name} has another checksum than OpenAI's"
    if row.model.start_from is None:
        return
    if params.model.start_from is None:
        yield "training did not start from a Kinetics-400 model"
    elif official is not None and inspect_weights(params.model.start_from).architecture != OFFICIAL[official.name]:
        yield f"{params.model.start_from} is no {official.name}"


def _checksum(weights: str) -> str:
    try:
        return weights_sha256(find_file(resolve(weights)))
    except BikeError:
        return ""


def _counts(numbers: list[int]) -> str:
    return ", ".join(f"{number:,}" for number in numbers)


def _page(
    protocol: Protocol,
    params: Params,
    found: Mapping[str, float],
    names: list[str],
    reasons: list[str],
    class_names: list[str],
) -> str:
    scored, expected = _videos(protocol, found)
    head = [f"# {protocol.name}: {protocol.title}", ""]
    if protocol.task == "own":
        head.append(f"{_counts(scored)} videos scored of {_counts(expected)} in the list.")
    elif reasons:
        head += [
            "**A rehearsal, not the published measurement:**",
            "",
            *(f"- {one_line(reason)}" for reason in reasons),
        ]
    else:
        head.append("**Measured here**: the row's weights, all its videos, its protocol.")
    if protocol.published:
        rows = ["", "| figure | published | here | difference |", "| --- | ---: | ---: | ---: |"]
    else:
        rows = ["", "| figure | here |", "| --- | ---: |"]
    for name in dict.fromkeys([*protocol.published, *names]):
        there, here = protocol.published.get(name), found.get(name)
        difference = "–" if there is None or here is None else f"{here - there:+.2f}"
        both = f"{_number(there)} | {_number(here)} | {difference}" if protocol.published else _number(here)
        rows.append(f"| {name} | {both} |")
    if protocol.published_map_batch is not None:
        rows += [
            "",
            f"`map_published`, as published, is a running mean over batches of {protocol.published_map_batch} videos; "
            "`map` is of all videos at once.",
        ]
    model = params.model
    views = ", ".join(params.evaluate.views)
    kept = f", {params.extract.frames_per_video} frames kept of a video" if params.extract.frames_per_video else ""
    facts = [
        ("videos scored", f"{_counts(scored)} of {_counts(expected)}"),
        ("protocol", f"{model.frames} frames, views {views}, head {model.temporal} + {model.interaction}{kept}"),
        ("names", f"{len(class_names)} classes, {params.annotate.prompt_names}, such as {class_names[0]!r}"),
        ("prompt", repr(model.prompt)),
        ("weights", _weights(model.weights) if protocol.task != "zeroshot" else "the model's below"),
    ]
    if model.start_from:
        facts.append(("model" if protocol.task == "zeroshot" else "started from", _weights(model.start_from)))
    cells = ((name, one_line(value).replace("|", "\\|")) for name, value in facts)
    rows += ["", "| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in cells)]
    return "\n".join([*head, *rows]) + "\n"


def _weights(name: str) -> str:
    return f"{name}, SHA-256 {_checksum(name) or 'unknown: the file is not here'}"


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.2f}"
