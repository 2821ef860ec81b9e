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
USE = """\
Video recognition with CLIP, after BIKE (Wu et al., CVPR 2023).

```python
import bike

recogniser = bike.load("FOLDER")  # where this repository was downloaded to
print(recogniser.predict("video.mp4").guesses)
```"""


class Measured(NamedTuple):
    """An evaluation: the numbers of its ``metrics.json``, and its provenance."""

    metrics: Mapping[str, float]
    origin: Mapping[str, Any]

    def rows(self) -> list[tuple[str, str, float]]:
        """Field, title with the views, and percent of each metric."""
        views = f"{self.metrics.get('clips', 1):g}x{self.metrics.get('crops', 1):g} views"
        known = KINDS.keys() & self.metrics
        return [(field, f"{title}, {views}", self.metrics[field]) for field, title in TITLES if field in known]


def card_text(name: str, contract: Contract, measured: Sequence[Measured], *, dataset: str | None = None) -> str:
    """``README.md`` of a published model. Names from files can neither leave their place nor become markup.

    Args:
        name: of the model.
        contract: what it was trained for.
        measured: its evaluations.
        dataset: what they were measured on.
    """
    data = one_line(dataset or "a list of one's own")
    header: dict[str, Any] = {
        "library_name": "bike-video",
        "pipeline_tag": "video-classification",
        "tags": ["bike", "clip"],
    }
    if measured:
        header["model-index"] = [{"name": name, "results": [_result(one, data) for one in measured]}]
    text, yaml = io.StringIO(), YAML()
    yaml.width = 4096
    yaml.dump(header, text)
    lines = ["---", f"{text.getvalue()}---", "", f"# {escape_markdown(name)}", "", USE, "", *_facts(contract)]
    if measured:
        lines += ["", f"## Measured on {escape_markdown(data)}", "", "| metric | % | videos |", "|---|---:|---:|"]
    for one in measured:
        lines += [f"| {title} | {value:.2f} | {one.metrics.get('videos', 0):g} |" for _, title, value in one.rows()]
    return "\n".join([*lines, *(f"\n{_origin(one.origin)}." for one in measured)]) + "\n"


def _result(measured: Measured, data: str) -> dict[str, Any]:
    """An entry of ``model-index``."""
    metrics = [
        {"type": KINDS[field], "name": f"{title} (%)", "value": round(x, 2)} for field, title, x in measured.rows()
    ]
    return {"task": {"type": "video-classification"}, "dataset": {"name": data, "type": data}, "metrics": metrics}


def _facts(contract: Contract) -> list[str]:
    more = len(contract.classes) - SHOWN_CLASSES
    classes = ", ".join(escape_markdown(each[:100]) for each in contract.classes[:SHOWN_CLASSES])
    facts = {
        "classes": f"{len(contract.classes)}: {classes}" + (f" and {more} more in `labels.csv`" if more > 0 else ""),
        "prompt": escape_markdown(contract.prompt),
        "frames of a clip": f"{contract.frames}, {contract.input_size} px",
        "head": f"{contract.temporal} + {contract.interaction}",
        "began with": escape_markdown(contract.weights.name) if contract.weights else "not known",
        "trained by": f"bike-video {escape_markdown(contract.version)}",
    }
    return ["| trained for | |", "|---|---|", *(f"| {key} | {value} |" for key, value in facts.items())]


def _origin(origin: Mapping[str, Any]) -> str:
    """Code, pipeline and versions behind a measurement."""
    versions = origin.get("versions")
    parts = {key: origin[key] for key in ("commit", "dvc.lock") if origin.get(key)}
    parts |= versions if isinstance(versions, Mapping) else {}
    return escape_markdown(", ".join(f"{key} {value}" for key, value in parts.items())[:2000])
