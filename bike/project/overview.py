"""What the table of published rows says of each: what it needs, and what came of it in the projects that are here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bike.errors import BikeError, one_line
from bike.files import read_json
from bike.params import read_tree
from bike.project.dataset import load_datasets
from bike.provenance import provenance_path
from bike.zoo import Preset, show_metrics

_ABSURD = 1e12  # no figure and no number of videos


@dataclass(frozen=True, slots=True)
class FoundProject:
    """A project of `bike init` on this disk.

    Attributes:
        folder: where.
        row: what it measures: a row of the zoo, or a kind of one's own data.
        metrics: the numbers of its ``metrics.json``; empty before `dvc repro`.
        commit: of the code and parameters that made its result, ``-dirty`` behind it where files differed; or empty.
    """

    folder: Path
    row: str
    metrics: dict[str, float] = field(default_factory=dict)
    commit: str = ""


def find_projects(places: Iterable[Path]) -> list[FoundProject]:
    """The projects in some folders, and up to two folders below; by what their files say, whatever the folders' names.

    Two, since a folder of videos may be near, with more files below it than anybody waits for.
    """
    found: dict[Path, FoundProject] = {}
    for place in places:
        for folder in (place, *_folders(place)):
            if not (folder / "protocol.yaml").is_file():
                continue
            with suppress(BikeError):  # a file of that name that is somebody else's
                row = read_tree(folder / "protocol.yaml").get("name")
                if isinstance(row, str):
                    found.setdefault(folder.resolve(), _project(folder, row))
    return list(found.values())


def _folders(place: Path, depth: int = 2) -> Iterator[Path]:
    with suppress(OSError):
        inside = sorted(path for path in place.iterdir() if not path.name.startswith(".") and path.is_dir())
        for folder in inside:
            yield folder
            if depth > 1:
                yield from _folders(folder, depth - 1)


def _project(folder: Path, row: str) -> FoundProject:
    path = folder / "metrics.json"
    try:
        metrics = dict(read_json(path)) if path.is_file() else {}
    except (BikeError, TypeError, ValueError):
        metrics = {}
    numbers = {
        name: value for name, value in metrics.items() if isinstance(value, int | float) and 0 <= value < _ABSURD
    }
    return FoundProject(folder, row, numbers, _commit(folder))


def _commit(folder: Path) -> str:
    """The commit of the result that dvc.yaml names as the summary's; of several folds, of the first."""
    with suppress(BikeError, LookupError, TypeError, AttributeError, ValueError):
        words = read_tree(folder / "dvc.yaml")["stages"]["summary"]["cmd"].split()
        result = folder / words[words.index("protocol.yaml") + 1].split(",")[0]
        commit, _, dirty = str(read_json(provenance_path(result))["commit"] or "").partition("-")
        return one_line(commit)[:7] + (dirty and f"-{dirty}")
    return ""


def what_came_of(preset: Preset, projects: Iterable[FoundProject]) -> str:
    """Our own figures for a row, its measurements before its rehearsals; ``not run here`` where there are none.

    A rehearsal (other weights, videos or another protocol) is called one, and shows no figure.
    """
    own = [project for project in projects if project.row == preset.name]
    own.sort(key=lambda project: (project.metrics.get("measured", 0), project.metrics.get("videos", 0)), reverse=True)
    return "; ".join(_outcome(preset, project) for project in own) or "not run here"


def _outcome(preset: Preset, project: FoundProject) -> str:
    folder = one_line(project.folder.resolve().name)
    metrics = project.metrics
    if not metrics:
        return f"not run yet, in {folder}"
    names = tuple(preset.published) or ("split_top1_mean", "harmonic_mean", "top1")
    head = show_metrics(metrics, names) if metrics.get("measured") == 1 else "a rehearsal"
    scored = f"{metrics.get('videos', 0):,.0f} of {metrics.get('expected', 0):,.0f} videos"
    return ", ".join((head, scored, f"commit {project.commit or 'unknown'}", f"in {folder}"))


def needs(preset: Preset) -> str:
    """Data set, frames, and the weights that a row starts from."""
    model, attributes = preset.params.model, preset.params.attributes
    words = [load_datasets()[preset.dataset].title, f"{model.frames} frames"]
    if preset.checkpoint is None:
        words.append(model.weights)
    if preset.task == "fused" and attributes.weights not in (None, model.weights):
        words.append(f"{attributes.weights} for attributes")
    start = preset.checkpoint or (model.start_from and Path(model.start_from).stem)
    return ", ".join((*words, f"the model of {start}") if start else words)
