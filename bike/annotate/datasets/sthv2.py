"""Something-Something V2: JSON lists and a JSON of class names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bike.annotate.entries import Annotations, Entry, ReadOptions
from bike.annotate.reading import find_annotation, find_files, read_annotation_json
from bike.errors import DataError, first_few
from bike.files import read_lines
from bike.files.names import clean_class_name, is_text, names_by_id
from bike.records import read_class_file

FILES = {"train": "train", "validation": "val", "test": "test"}


def read_sthv2(source: Path, options: ReadOptions) -> Annotations:
    """Read ``train.json``, ``validation.json``, ``test.json`` and ``labels.json`` (or ``label_map.txt``).

    Names may carry the prefix ``something-something-v2-``. The class is the template without its brackets. Test videos
    have no labels unless ``test-answers.csv`` (``id;class``) is there.

    Raises:
        DataError: not the official layout, or items with bad values; the first ten are named.
    """
    classes = _read_labels(source) if options.labels is None else None
    answers = _read_answers(source)
    entries: list[Entry] = []
    for word, split in FILES.items():
        for path in find_files(source, (f"{word}.json", f"*-{word}.json"))[:1]:  # one list for each split
            entries.extend(_read_split(path, split, answers))
    if not entries:
        raise DataError(f"{source}: no train.json, validation.json or test.json. Give the annotation's folder.")
    return Annotations({"": entries}, classes, by_name=True, fold_names=False)


def _read_labels(source: Path) -> list[str]:
    path = find_annotation(
        source, ("labels.json", "*-labels.json", "label_map.txt"), "class names of Something-Something"
    )
    if path.suffix == ".txt":
        return read_class_file(path)[0]
    tree = read_annotation_json(path)
    if not isinstance(tree, dict):
        raise DataError(f"{path}: {{name: id}} is needed. Is it the official file?")
    return names_by_id(((ascii(name)[:60], str(index), name) for name, index in tree.items()), path)


def _read_answers(source: Path) -> dict[str, str]:
    paths = find_files(source, ("test-answers.csv", "*-test-answers.csv"))
    pairs = (text.partition(";") for path in paths[:1] for _, text in read_lines(path))
    return {identifier.strip(): label.strip() for identifier, _, label in pairs}


def _read_split(path: Path, split: str, answers: dict[str, str]) -> Iterator[Entry]:
    tree = read_annotation_json(path)
    if not isinstance(tree, list):
        raise DataError(f"{path}: a list of videos is needed. Is it the official file?")
    bad = []
    labels: dict[str, tuple[str, ...]] = {"": ()}  # few templates, many videos: each is cleaned once
    for number, item in enumerate(tree):
        try:
            identifier, template = _read_item(item)
        except (KeyError, TypeError, ValueError):
            bad.append(f"item {number}")
            continue
        name = template or (answers.get(identifier, "") if split == "test" else "")
        if name not in labels:
            labels[name] = (clean_class_name(name.replace("[", "").replace("]", ""), f"{path}: item {number}"),)
        yield Entry(identifier, labels[name], split)
    if bad:
        raise DataError(f"{path}: items without a usable id or template: {first_few(bad)}.")


def _read_item(item: Any) -> tuple[str, str]:
    identifier, template = str(item["id"]), item.get("template", "")
    if not identifier or not is_text(identifier) or not isinstance(template, str):
        raise ValueError("id or template")
    return identifier, template
