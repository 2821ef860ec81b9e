"""One call: read a data set's annotation, meet it with the videos, write lists and the audit."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from bike.annotate.audit import AUDIT_NAME, Audit
from bike.annotate.building import Lists, build_lists, fill_names, make_table
from bike.annotate.datasets.activitynet import read_activitynet
from bike.annotate.datasets.charades import read_charades
from bike.annotate.datasets.folders import read_folders
from bike.annotate.datasets.hmdb51 import read_hmdb51
from bike.annotate.datasets.kinetics import read_kinetics
from bike.annotate.datasets.published import read_published
from bike.annotate.datasets.sthv2 import read_sthv2
from bike.annotate.datasets.table import read_csv
from bike.annotate.datasets.ucf101 import read_ucf101
from bike.annotate.entries import Annotations, ReadOptions
from bike.annotate.few_shot import choose_shots
from bike.annotate.habits import count_from_zero, from_windows
from bike.annotate.media import Media, read_media
from bike.annotate.near import find_near_duplicates
from bike.annotate.restrict import num_base, restrict_classes, write_halves
from bike.annotate.writing import (
    LABELS_NAME,
    UNANNOTATED_NAME,
    check_out,
    prompt_names,
    write_class_names,
    write_split_lists,
)
from bike.errors import DataError, ParamsError, nearest
from bike.files import OutputFolder, claim_folder
from bike.params import Annotate
from bike.records import Sample, read_class_file, write_list

Reader = Callable[[Path, ReadOptions], Annotations]
Claim = Callable[[], AbstractContextManager[OutputFolder]]

DATASETS: dict[str, Reader] = {
    "ucf101": read_ucf101,
    "hmdb51": read_hmdb51,
    "kinetics400": partial(read_kinetics, size=400),
    "kinetics600": partial(read_kinetics, size=600),
    "kinetics700": partial(read_kinetics, size=700),
    "activitynet": read_activitynet,
    "charades": read_charades,
    "sthv2": read_sthv2,
    "csv": read_csv,
    "folders": read_folders,
    "published": read_published,
}
OFFICIAL_SPLITS = ("ucf101", "hmdb51")
_HOW_TO_READ = [field.name for field in fields(ReadOptions) if field.name not in ("fold", "labels", "follow_links")]


def annotate(
    dataset: str,
    source: Path | str,
    media: Path | str | None,
    out: Path | str,
    *,
    policies: Annotate | None = None,
    options: ReadOptions | None = None,
    replace: bool = False,
) -> Audit:
    """Write the lists of a data set into ``out``.

    Written are ``{train,val,test}.csv`` (:func:`bike.records.read_list`) and ``.txt`` (as published lists look) for the
    splits that have samples, ``labels.csv``, ``unannotated.csv`` when that policy is ``keep``, and ``audit.csv`` last.
    With ``policies.shots`` the train list holds that many videos of each class, repeated to its full length;
    ``policies.classes`` and ``policies.train_classes`` are :func:`bike.annotate.restrict.restrict_classes`'s, and the
    latter adds the names of both halves, ``base.txt`` and ``novel.txt``.
    A data set with several folds gets a folder ``split1`` … for each. Lists that an earlier
    run of the same settings wrote here are replaced or removed, other files are left alone.

    Args:
        dataset: a name in :data:`DATASETS`.
        source: folder with the official annotation files (a single file where one is enough).
        media: manifest of ``bike extract``, folder of videos or of frame folders; None makes the lists from the
            annotation alone, with 0 frames.
        out: folder for the results.
        policies: what to do about findings; section ``annotate`` of ``params.yaml``.
        options: how to read the annotation, see :class:`ReadOptions`.
        replace: whether finished lists of another source, split or choice of shots may be thrown away.

    Returns:
        The audit: findings, counts, samples in each list.

    Raises:
        ParamsError: unknown data set, a fold of one that has none, or lists in ``out`` would replace what is read.
        DataError: the annotation is damaged, or a finding has the policy ``error`` (``audit.csv`` is written first).
    """
    if dataset not in DATASETS:
        raise ParamsError(f"{dataset}: unknown data set.{nearest(dataset, DATASETS)} Known: {', '.join(DATASETS)}.")
    enabled = gc.isenabled()
    gc.disable()  # a third of the time goes into walking over millions of rows in search of cycles, which have none
    try:
        policies, options = policies or Annotate(), options or ReadOptions()
        if options.fold is not None and dataset not in OFFICIAL_SPLITS:
            raise ParamsError(
                f"--split: {dataset} has no numbered splits (only {', '.join(OFFICIAL_SPLITS)}). Omit it."
            )
        check_out(dataset, Path(out), Path(source), [options.labels, None if media is None else Path(media)])
        settings = {"dataset": dataset, "split": options.fold, "shots": policies.shots}
        settings |= _chosen(options, ReadOptions(), *_HOW_TO_READ)
        settings |= _chosen(policies, Annotate(), "classes", "train_classes", *["shots_seed"] * bool(policies.shots))
        for name, path in (("source", source), ("labels", options.labels)):
            if path is not None:  # relative, so that a project may be moved
                settings[name] = os.path.relpath(os.path.realpath(path), os.path.realpath(out))
        claim = partial(claim_folder, Path(out), "lists", settings=settings, replace=replace)
        return _annotate(dataset, Path(source), media, claim, policies, options)
    finally:
        if enabled:
            gc.enable()


def _chosen(options: Any, defaults: Any, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(options, name)) != getattr(defaults, name)}


def _annotate(
    dataset: str, source: Path, media: Path | str | None, claim: Claim, policies: Annotate, options: ReadOptions
) -> Audit:
    audit = Audit(dataset, policies)
    found = read_media(media, follow_links=options.follow_links)
    annotations = DATASETS[dataset](source, options)
    if options.labels is not None:
        annotations.classes, annotations.readable = read_class_file(options.labels, first=options.first_id)
    audit.annotated = sum(map(len, annotations.folds.values()))
    if not audit.annotated:
        raise DataError(f"{source}: no annotated videos. Give the folder that has the annotation of {dataset}.")
    audit.videos = len(found.records) if found.kind != "none" else None
    count_from_zero(annotations, options.first_id, source, stop=policies.no_name == "error")
    from_windows(annotations, found.records)
    audit.notes += dict.fromkeys([*annotations.notes, *([found.note] if found.note else [])])
    table = make_table(annotations, audit)
    lists, unannotated = build_lists(annotations, found, table, audit)
    fill_names(table, audit)  # after the lists: until then such ids are labels without a name
    find_near_duplicates(lists, found, table.names, audit)
    audit.classes = len(table.names)
    if any(row.action == "error" for row in audit.findings):
        audit.check(_write_audit(claim, audit))
    names = prompt_names(table.names, annotations.readable, policies.prompt_names == "readable")
    names, published = restrict_classes(lists, names, table.names, policies, audit)
    halves = policies.train_classes == "first_half"
    trained = names[: num_base(len(names))] if halves else names
    for fold, splits in lists.items():
        if policies.shots is not None and splits["train"]:
            splits["train"] = choose_shots(
                splits["train"], policies.shots, seed=policies.shots_seed, names=trained, every=True, repeat=True
            )
        audit.lists.update(
            {f"{fold}/{split}" if fold else split: len(splits[split]) for split in splits if splits[split]}
        )
    if not audit.lists:
        path = _write_audit(claim, audit)
        raise DataError(f"{dataset}: no sample is left of {audit.annotated} annotated; {path} says why.")
    with claim() as output, output.writing(AUDIT_NAME) as folder:
        _write(folder, lists, names, published, unannotated, found, audit)
        if halves:
            write_halves(folder, names)
    return audit


def _write_audit(claim: Claim, audit: Audit) -> Path:
    """Say why there are no lists, beside those of an earlier run, which stay."""
    with claim() as output:
        output.check([AUDIT_NAME])
        output.add(AUDIT_NAME)
        audit.write(output.folder / AUDIT_NAME)
        return output.folder / AUDIT_NAME


def _write(
    out: Path,
    lists: Lists,
    names: Sequence[str],
    published: Sequence[str],
    unannotated: Sequence[Sample],
    media: Media,
    audit: Audit,
) -> None:
    videos = media.kind == "videos"
    write_class_names(out / LABELS_NAME, names, published)
    for fold, splits in lists.items():
        audit.notes += write_split_lists(out / fold, splits, videos=videos, keyed=media.keyed)
        if fold:
            write_class_names(out / fold / LABELS_NAME, names, published)
    if unannotated:
        write_list(out / UNANNOTATED_NAME, unannotated)
    audit.write(out / AUDIT_NAME)
