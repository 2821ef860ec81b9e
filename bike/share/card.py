"""The model card: Markdown under a YAML header with the metrics, as the Hugging Face Hub reads it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from bike.errors import one_line
from bike.evaluate.results import TITLES
from bike.model.contract import Contract
from bike.report.table import escape_markdown

SHOWN_CLASSES = 20
KINDS = {"top1": "accuracy", "top5": "accuracy", "mean_class": "accuracy", "map": "mean_average_precision"}


class Measured(NamedTuple):
    """An evaluation: the numbers of its ``metrics.json``, and its provenance."""

    metrics: Mapping[str, float]
    origin: Mapping[str, Any]

    @property
    def views(self) -> str:
        """Such as ``4x3``: clips and crops."""
        return f"{self.metrics.get('clips', 1):g}x{self.metrics.get('crops', 1):g}"


def card_text(name: str, contract: Contract, measured: Sequence[Measured], *, dataset: str | None = None) -> str:
    """``README.md`` of a published model. Names from files can neither leave their place nor become markup.

    Args:
        name: of the model.
        contract: what it was trained for.
        measured: its evaluations.
        dataset: what they were measured on.
    """
    header: dict[str, Any] = {"library_name": "bike-video", "pipeline_tag": "video-classification"}
    header["tags"] = ["bike", "clip", "video-classification"]
    if measured:
        results = [_result(one, one_line(dataset or "a list of one's own")) for one in measured]
        header["model-index"] = [{"name": name, "results": results}]
    text = io.StringIO()
    yaml = YAML()
    yaml.width = 4096
    yaml.dump(header, text)
    return f"---\n{text.getvalue()}---\n\n{_body(name, contract, measured, dataset)}"


def _result(measured: Measured, dataset: str) -> dict[str, Any]:
    metrics = [
        {
            "type": KINDS[field],
            "name": f"{title}, {measured.views} views (%)",
            "value": round(measured.metrics[field], 2),
        }
        for field, title in TITLES
        if field in KINDS and field in measured.metrics
    ]
    task = {"type": "video-classification", "name": "Video classification"}
    return {"task": task, "dataset": {"name": dataset, "type": dataset}, "metrics": metrics}


def _body(name: str, contract: Contract, measured: Sequence[Measured], dataset: str | None) -> str:
    classes = ", ".join(escape_markdown(each[:100]) for each in contract.classes[:SHOWN_CLASSES])
    more = len(contract.classes) - SHOWN_CLASSES
    facts = {
        "classes": f"{len(contract.classes)}: {classes}" + (f" and {more} more in `labels.csv`" if more > 0 else ""),
        "prompt": escape_markdown(contract.prompt),
        "frames of a clip": str(contract.frames),
        "side of the pictures": f"{contract.input_size} px",
        "head": f"{contract.temporal} + {contract.interaction}",
        "began with": escape_markdown(contract.weights.name) if contract.weights else "not known",
        "trained by": f"bike-video {escape_markdown(contract.version)}",
    }
    lines = [
        f"# {escape_markdown(name)}",
        "",
        "Video recognition with CLIP, after BIKE (Wu et al., CVPR 2023).",
        "",
        "```python",
        "import bike",
        "",
        'recogniser = bike.load("FOLDER")  # where this repository was downloaded to',
        'print(recogniser.predict("video.mp4").guesses)',
        "```",
        "",
        "| trained for | |",
        "|---|---|",
        *(f"| {key} | {value} |" for key, value in facts.items()),
    ]
    if measured:
        data = f" on {escape_markdown(dataset)}" if dataset else ""
        lines += ["", f"## Measured{data}", "", "| views | videos | metric | % |", "|---|---:|---|---:|"]
        for one in measured:
            videos = f"{one.metrics.get('videos', 0):g}"
            lines += [
                f"| {one.views} | {videos} | {title} | {one.metrics[field]:.2f} |"
                for field, title in TITLES
                if field in KINDS and field in one.metrics
            ]
        lines += ["", *(f"{one.views}: {_origin(one.origin)}." for one in measured)]
    return "\n".join(lines) + "\n"


def _origin(origin: Mapping[str, Any]) -> str:
    """Code, pipeline and versions behind a measurement."""
    versions = origin.get("versions")
    parts = [f"{key} {origin[key]}" for key in ("commit", "dvc.lock") if origin.get(key)]
    if isinstance(versions, Mapping):
        parts += [f"{package} {version}" for package, version in versions.items()]
    return escape_markdown(", ".join(map(str, parts))[:2000]) or "no origin"
