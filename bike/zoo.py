"""The published models as presets: which parameters, what was published, how to run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from bike.errors import ParamsError, nearest
from bike.params import Params, parse_params, read_tree
from bike.trees.dump import yaml_text
from bike.trees.overrides import merge
from bike.trees.sections import Section, validated

Task = Literal["train", "fused", "few-shot", "zeroshot", "splits", "base-to-novel"]


class Stated(Section):
    """What the zoo file says of a preset."""

    dataset: str  # names its lists and shards, and the first of its parts
    task: Task  # which stages it takes
    parts: tuple[str, ...]  # of the parameters, each over the ones before it
    published: dict[str, float] = {}  # metric -> percent; empty where the papers say nothing of this one
    memory_gb: float | None = None  # of each GPU in training, as published
    checkpoint: str | None = None  # preset whose model is evaluated, for `zeroshot`
    splits: int = 0  # lists of classes to evaluate on, for `zeroshot`


class Preset(Stated):
    """A published model with its full parameters."""

    name: str  # such as `k400-vitb16-8f`
    params: Params  # the whole validated parameter set
    tree: dict[str, Any]  # the parameters that differ from the defaults, section by section
    image_flops: int  # of its encoder for one frame


class _FewShot(Section):
    datasets: tuple[str, ...]
    shots: tuple[int, ...]
    parts: tuple[str, ...]


class _File(Section):
    image_flops: dict[str, int]  # weights -> operations that embed one picture
    parts: dict[str, dict[str, Any]]
    presets: dict[str, Stated]
    few_shot: _FewShot


ZOO_FILE = Path("configs/zoo.yaml")


def zoo_file() -> Path:
    """The zoo of the folder at work, of the checkout that this code lies in, or the one that came with the package."""
    here = Path(__file__).parent
    return next((path for path in (ZOO_FILE, here.parent / ZOO_FILE) if path.is_file()), here / ZOO_FILE)


def load_zoo(path: Path | str | None = None) -> dict[str, Preset]:
    """Read a zoo file, or the one that :func:`zoo_file` finds; every preset is resolved and validated.

    Raises:
        ParamsError: an unknown part or key, or a bad value; the preset is named.
    """
    path = zoo_file() if path is None else path
    zoo = validated(_File, read_tree(path), str(path))
    presets = dict(zoo.presets)
    for dataset in zoo.few_shot.datasets:
        for shots in zoo.few_shot.shots:
            parts = (*zoo.few_shot.parts, f"shots{shots}")
            presets[f"few-shot-{dataset}-{shots}"] = Stated(dataset=dataset, task="few-shot", parts=parts)
    return {name: _resolve(name, stated, zoo, str(path)) for name, stated in presets.items()}


def _resolve(name: str, stated: Stated, zoo: _File, source: str) -> Preset:
    tree: dict[str, Any] = {}
    for part in (stated.dataset, *stated.parts):
        if part not in zoo.parts:
            raise ParamsError(f"{source}: {name}: unknown part {part!r}.{nearest(part, zoo.parts)}")
        tree = merge(tree, zoo.parts[part])
    params = parse_params(tree, f"{source}: {name}")
    flops = zoo.image_flops.get(params.model.weights)
    if flops is None:
        raise ParamsError(f"{source}: {name}: image_flops says nothing of {params.model.weights}. Add its number.")
    return Preset(name=name, params=params, tree=tree, image_flops=flops, **stated.model_dump())


def find_preset(zoo: dict[str, Preset], name: str) -> Preset:
    """The preset ``name``.

    Raises:
        ParamsError: there is none; the nearest name is suggested.
    """
    if name not in zoo:
        raise ParamsError(f"{name}: no such preset.{nearest(name, zoo)} `bike zoo list` names them all.")
    return zoo[name]


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
    """What to run for a preset, in this order, from videos and the official annotation on."""
    start = f"bike init {preset.name} {preset.name} --videos VIDEOS --annotation ANNOTATION"
    return [start, f"cd {preset.name}", "bike check", "dvc repro"]


def params_text(preset: Preset) -> str:
    """The preset's whole parameter set as YAML 1.2, every value stated."""
    return f"# Preset {preset.name}, written by `bike zoo params`.\n" + yaml_text(preset.params.model_dump(mode="json"))
