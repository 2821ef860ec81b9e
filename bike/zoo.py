"""The published models as presets: which parameters, what was published, what was measured here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bike.errors import ParamsError, nearest, one_line
from bike.files import read_json, read_text
from bike.params import Params, parse_params

Task = Literal["train", "fused", "few-shot", "zeroshot"]

# Videos in the training and evaluation split, as the data sets' authors count them; used for expected times only.
NUM_VIDEOS = {
    "kinetics400": (240_436, 19_796),
    "activitynet": (15_410, 4_926),
    "charades": (66_500, 1_863),
    "ucf101": (9_537, 3_783),
    "hmdb51": (3_570, 1_530),
}
NUM_CLASSES = {"kinetics400": 400, "kinetics600": 160, "activitynet": 200, "charades": 157, "ucf101": 101, "hmdb51": 51}


class Entry(BaseModel):
    """A preset as the file states it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    task: Task
    parts: tuple[str, ...]
    published: dict[str, float] = {}
    memory_gb: float | None = None
    checkpoint: str | None = None
    splits: int = 0


class _FewShot(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    datasets: tuple[str, ...]
    shots: tuple[int, ...]
    parts: tuple[str, ...]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    parts: dict[str, dict[str, Any]]
    presets: dict[str, Entry]
    few_shot: _FewShot


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset with its full parameters.

    Attributes:
        name: such as ``k400-vitb16-8f``.
        entry: what the zoo file says of it.
        params: the whole validated parameter set.
        tree: the parameters that differ from the defaults, section by section.
    """

    name: str
    entry: Entry
    params: Params
    tree: dict[str, Any] = field(repr=False)


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``over``, section by section; neither is changed."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


ZOO_FILE = Path("configs/zoo.yaml")


def zoo_file() -> Path:
    """The zoo of the folder at work, of the checkout that this code lies in, or the one that came with the package."""
    here = Path(__file__).parent
    return next((path for path in (ZOO_FILE, here.parent / ZOO_FILE) if path.is_file()), here / ZOO_FILE)


def load_zoo(path: Path | str | None = None) -> dict[str, Preset]:
    """Read a zoo file; every preset is resolved and validated.

    Args:
        path: None for :func:`zoo_file`.

    Raises:
        ParamsError: an unknown part or key, or a bad value; the preset is named.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    path = zoo_file() if path is None else path
    try:
        zoo = _File.model_validate(YAML(typ="safe", pure=True).load(read_text(path)))
    except (YAMLError, ValidationError) as error:
        raise ParamsError(f"{path}: not a zoo file ({one_line(error)}).") from error
    entries = dict(zoo.presets)
    for dataset in zoo.few_shot.datasets:
        for shots in zoo.few_shot.shots:
            parts = (*zoo.few_shot.parts, f"shots{shots}")
            entries[f"few-shot-{dataset}-{shots}"] = Entry(dataset=dataset, task="few-shot", parts=parts)
    return {name: _resolve(name, entry, zoo.parts, str(path)) for name, entry in entries.items()}


def _resolve(name: str, entry: Entry, parts: dict[str, dict[str, Any]], source: str) -> Preset:
    tree: dict[str, Any] = {}
    for part in (entry.dataset, *entry.parts):
        if part not in parts:
            raise ParamsError(f"{source}: {name}: unknown part {part!r}.{nearest(part, parts)}")
        tree = merge(tree, parts[part])
    return Preset(name, entry, parse_params(tree, f"{source}: {name}"), tree)


def find_preset(zoo: dict[str, Preset], name: str) -> Preset:
    """The preset ``name``.

    Raises:
        ParamsError: there is none; the nearest name is suggested.
    """
    if name not in zoo:
        raise ParamsError(f"{name}: no such preset.{nearest(name, zoo)} `bike zoo list` names them all.")
    return zoo[name]


def measured(preset: Preset, results: Path) -> str:
    """Our own figures for a preset from ``<results>/<name>/metrics.json``, or ``not run here``.

    Figures of its further views lie in ``<results>/<name>-<views>`` and have the views behind their names.
    """
    file = results / preset.name / "metrics.json"
    if not file.is_file():
        return "not run here"
    metrics = dict(read_json(file))
    for views in list(preset.params.evaluate.views)[1:]:
        other = results / f"{preset.name}-{views}" / "metrics.json"
        if other.is_file():
            metrics |= {f"{name}_{views}": value for name, value in read_json(other).items()}
    return show_metrics(metrics, tuple(preset.entry.published) or ("top1",))


def show_metrics(metrics: dict[str, Any], names: tuple[str, ...]) -> str:
    """``88.1 top1, 96.3 map``: the named metrics, those that are there; a standard deviation follows its mean."""
    shown = []
    for name in names:
        if name.endswith("_std") or name not in metrics:
            continue
        spread = metrics.get(f"{name.removesuffix('_mean')}_std")
        shown.append(f"{metrics[name]:g}{'' if spread is None else f' ± {spread:g}'} {name}")
    return ", ".join(shown) or "–"


def commands(preset: Preset) -> list[str]:
    """What to run for a preset, from prepared lists and shards on."""
    name, entry = preset.name, preset.entry
    views, *others = preset.params.evaluate.views
    lists, shards = f"lists/{entry.dataset}", f"shards/{entry.dataset}"
    common = f"--params configs/{name}.yaml --labels lists/{entry.dataset}/labels.csv"
    frames = f"--list {lists}/val.csv --shards {shards}/val"
    test = f"{frames} --views {views} --out results/zoo/{name}"
    lines = [f"bike zoo params {name} --out configs/{name}.yaml"]
    if entry.task == "zeroshot":
        classes = "".join(f" --split lists/{entry.dataset}/split{n}.txt" for n in range(1, entry.splits + 1))
        return [*lines, f"bike zeroshot --checkpoint models/{entry.checkpoint}.pt {common} {test}{classes}"]
    train = f"{lists}/train.csv"
    if entry.task == "few-shot":
        shots = preset.params.annotate.shots
        train = f"{lists}/train-{shots}-shot.csv"
        lines.append(f"bike annotate few-shot {lists}/train.csv --shots {shots} --repeat --out {train}")
    launch = "torchrun --standalone --nproc-per-node=8 -m bike.cli train"
    lines += [
        f"{launch} {common} --train {train} --shards {shards}/train --val {lists}/val.csv --val-shards {shards}/val "
        f"--out models/{name}.pt",
        f"bike eval models/{name}.pt {common} {test}",
        *(
            f"bike eval models/{name}.pt {common} {frames} --views {other} --out results/zoo/{name}-{other}"
            for other in others
        ),
    ]
    if entry.task == "fused":
        corpus, branch = f"lists/{entry.dataset}/attributes.json", f"models/{name}-attributes.pt"
        lines[-1] = lines[-1].replace(f"results/zoo/{name}", f"results/zoo/{name}-video")
        lines += [
            f"bike attributes lists/{entry.dataset}/labels.csv {corpus} --params configs/{name}.yaml --list {lists} "
            f"--shards {shards}",
            f"{launch} {common} --train {train} --attributes {corpus} --out {branch}",
            f"bike eval {branch} {common} --list {lists}/val.csv --attributes {corpus} "
            f"--out results/zoo/{name}-attributes",
            f"bike fuse results/zoo/{name}-video results/zoo/{name}-attributes --params configs/{name}.yaml "
            f"--out results/zoo/{name}",
        ]
    return lines


def expected_hours(preset: Preset, *, gpus: int = 8, tflops: float = 60.0) -> float | None:
    """Expected hours of training (of evaluation, for zero-shot) from the arithmetic alone.

    Args:
        preset: the preset.
        gpus: how many.
        tflops: what one GPU sustains on this model, in TFLOP/s; 60 is about half of a V100's fp16 peak.

    Returns:
        Hours, or None where the number of videos is not known (few-shot lists, parts of Kinetics-600).
    """
    from bike.model.count import count_clip
    from bike.model.layers.architecture import OFFICIAL

    if preset.entry.task == "few-shot" or preset.entry.dataset not in NUM_VIDEOS:
        return None
    params = preset.params
    flops = count_clip(OFFICIAL[params.model.weights]).image_flops * params.model.frames
    num_train, num_test = NUM_VIDEOS[preset.entry.dataset]
    protocol = next(iter(params.evaluate.views.values()))
    total = num_test * protocol.clips * protocol.crops * flops
    if preset.entry.task != "zeroshot":
        total += 3 * params.train.epochs * num_train * flops
    return total / (gpus * tflops * 1e12) / 3600


def params_text(preset: Preset) -> str:
    """The preset's whole parameter set as YAML 1.2, every value stated."""
    from io import StringIO

    from ruamel.yaml import YAML

    text = StringIO()
    text.write(f"# Preset {preset.name}, written by `bike zoo params`.\n")
    YAML().dump(preset.params.model_dump(mode="json"), text)
    return text.getvalue()
