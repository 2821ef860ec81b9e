"""The files of a project from its protocol and parameters: text only, nothing is written here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bike.model.formats.official import OFFICIAL_FILES
from bike.params import Params
from bike.project.code import SECTIONS
from bike.project.protocol import NAME, Protocol
from bike.trees.dump import yaml_text
from bike.trees.overrides import merge
from bike.zoo import show_metrics

RUN = "python -m bike.project.stage"


def stages_of(protocol: Protocol) -> list[str]:
    """The stages of a project that have code of their own, in order."""
    fused = protocol.task == "fused"
    wanted = {"extract", "annotate", "shard", "summary"}
    wanted |= {"train"} if protocol.lists.train else set()
    wanted |= {"zeroshot"} if protocol.task in ("zeroshot", "own", "base-to-novel") else set()
    wanted |= {"evaluate"} if protocol.lists.train and protocol.task != "base-to-novel" else set()
    wanted |= {"attributes", "train_attributes", "evaluate_attributes", "fuse"} if fused else set()
    return [stage for stage in SECTIONS if stage in wanted]


def sections_of(protocol: Protocol) -> list[str]:
    """Sections of params.yaml that some stage of a project reads, in the schema's order."""
    read = {section for stage in stages_of(protocol) for section in SECTIONS[stage]}
    return [name for name in Params.model_fields if name in read]


def results_of(protocol: Protocol, views: list[str]) -> tuple[list[str], dict[str, str]]:
    """The folder of the main result, or of each fold's; and those of further views: ``1x1`` -> folder."""
    if "evaluate" not in stages_of(protocol):
        return ["results/zeroshot"], {}
    if protocol.folds():
        return [f"results/video/{fold}/{views[0]}" for fold in protocol.folds()], {}
    main = "results/fused" if protocol.task == "fused" else f"results/video/{views[0]}"
    return [main], {name: f"results/video/{name}" for name in views[1:]}


def params_tree(protocol: Protocol, tree: Mapping[str, Any]) -> dict[str, Any]:
    """What params.yaml states: a section for each that a stage reads, empty where nothing differs.

    DVC refuses a stage that names a section which is not there.
    """
    stated: dict[str, Any] = {name: {} if name != "numerics" else Params().numerics for name in sections_of(protocol)}
    return merge(stated, dict(tree))


def render(protocol: Protocol, tree: Mapping[str, Any], params: Params) -> dict[str, str]:
    """Name -> text of every file that is generated; ``params`` are those of ``tree`` with their defaults."""
    views, fused = list(params.evaluate.views), protocol.task == "fused"
    main, further = results_of(protocol, views)
    stages, folds = stages_of(protocol), protocol.folds()
    own_zeroshot = ["results/zeroshot"] if protocol.task == "own" and protocol.lists.train else []
    checkpoints = {"zeroshot": "${model.start_from}", "base-to-novel": "models/video.pt"}
    pairs = ",".join(f"{name}={place}" for name, place in further.items())
    attribute_file = params.attributes.weights
    values = {
        "p": protocol,
        "run": RUN,
        "annotation": "media.csv" if protocol.reader == "folders" else "annotation",
        "reading": _reading(protocol),
        "fused": fused,
        "scored": "all" if folds else protocol.lists.evaluate,
        "trained": "all" if folds else protocol.lists.train,
        "zeroshot": "zeroshot" in stages,
        "evaluated": "evaluate" in stages,
        "checkpoint": checkpoints.get(protocol.task),
        "class_files": protocol.labels is not None and protocol.classes,
        "folds": folds,
        "fold": "/${item.fold}" if folds else "",
        "models": [f"video/{fold}" for fold in folds] or ["video", *(["attributes"] if fused else [])],
        "curves": [f"curves/video/{fold}" for fold in folds] or ["curves/video"],
        "views": views,
        "sections": sections_of(protocol),
        "shards": "".join(f", shards/{name}" for name in protocol.splits()),
        "weights": "" if _is_official(params.model.weights) else '"${model.weights}", ',
        "attribute_weights": "" if _is_official(attribute_file) else ', "${attributes.weights}"',
        "start_from": ', "${model.start_from}"' if params.model.start_from else "",
        "result": ",".join(main),
        "further": (f" --further {pairs}" if pairs else "") + (" --zeroshot results/zeroshot" if own_zeroshot else ""),
        "parts": [f"results/video/{views[0]}", "results/attributes"] if fused else [],
        "results": [*main, *further.values(), *own_zeroshot],
        "published": show_metrics(dict(protocol.published), tuple(protocol.published)) if protocol.published else "",
        "steps": ", ".join(name for name in stages if name not in ("extract", "annotate", "shard", "summary")),
        "example": "train.lr=1e-5" if protocol.lists.train else "+zeroshot.half_class_repeats=5",
    }
    # Plain text, read by people and by DVC: nothing is escaped.
    environment = Environment(  # noqa: S701
        loader=PackageLoader("bike.project"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates = {"dvc.yaml": "dvc.yaml", "README.md": "README.md", ".gitignore": "gitignore", ".dvcignore": "dvcignore"}
    files = {name: environment.get_template(f"{file}.j2").render(values) for name, file in templates.items()}
    files["params.yaml"] = "# What differs from the defaults; `bike params show` has the rest.\n" + yaml_text(tree)
    header = (
        f"# What `bike init {protocol.name}` measures. The summary compares with it; nothing here need be edited.\n"
    )
    files[NAME] = header + yaml_text(protocol.model_dump(mode="json", exclude_defaults=True))
    return files


def _reading(protocol: Protocol) -> str:
    """Options of the annotate stage."""
    lists = protocol.lists
    words = [] if lists.fold is None else [f"--fold {lists.fold}"]
    words += [f"--labels {protocol.labels}"] if protocol.labels else []
    words += ["--splits " + ",".join(f"{word}={name}" for word, name in lists.splits.items())] if lists.splits else []
    return "".join(f" {word}" for word in words)


def _is_official(weights: str | None) -> bool:
    return weights is None or weights in OFFICIAL_FILES  # exactly: DVC takes any other word for a file
