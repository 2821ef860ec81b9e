"""Few-shot lists: K videos of each class, chosen once, in one file that every process reads."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bike.annotate.audit import AUDIT_NAME
from bike.annotate.writing import LABELS_NAME, UNANNOTATED_NAME
from bike.errors import DataError, ParamsError, first_few, one_line
from bike.files import atomic_write, claim_file, read_lines, read_text, refuse_finished, remove, size_text
from bike.progress import log
from bike.records import Sample, read_labels, read_list, write_list


def choose_shots(
    samples: Sequence[Sample],
    shots: int,
    *,
    seed: int = 0,
    names: Sequence[str] | None = None,
    every: bool = False,
    repeat: bool = False,
) -> list[Sample]:
    """Choose ``shots`` videos of each class, and one sample of each.

    A class's videos are ranked by a hash of seed and key, so the choice depends neither on the list's order nor on
    other classes, and the videos of K shots are among those of K + 1.

    Args:
        samples: the full list, one label each.
        shots: K, at least 1.
        seed: another seed chooses others.
        names: class names by label, for errors.
        every: a class of ``names`` without any sample is an error, too; otherwise shots are of the classes that occur.
        repeat: go through the chosen samples again and again up to the length of the full list (never below K each);
            repetitions get keys of their own.

    Returns:
        The chosen samples in the list's order.

    Raises:
        DataError: samples without exactly one label, or classes with fewer than ``shots`` videos; each is named.
        ValueError: ``shots`` below 1.
    """
    if shots < 1:
        raise ValueError(f"shots must be at least 1 (got {shots}).")
    odd = [sample.key for sample in samples if len(sample.labels) != 1]
    if odd:
        raise DataError(f"few-shot: samples need one label each, these have not: {first_few(odd)}. Use another list.")
    groups: dict[int, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        groups[sample.labels[0]][sample.video].append(sample)
    labels = sorted(groups.keys() | set(range(len(names or ()) if every else 0)))
    few = [label for label in labels if len(groups[label]) < shots]
    if few:
        named = [f"{_name(label, names)} has {len(groups[label])}" for label in few]
        raise DataError(f"few-shot: {shots} videos of each class are needed: {first_few(named)}. Ask for fewer shots.")
    # By video, then one sample of each: K parts of a single video would be one shot, not K.
    chosen: set[str] = set()
    for label in labels:
        videos = sorted(groups[label], key=lambda video: _rank(seed, video))[:shots]
        chosen.update(min(groups[label][video], key=lambda sample: _rank(seed, sample.key)).key for video in videos)
    kept = [sample for sample in samples if sample.key in chosen]
    return _repeat(kept, len(samples)) if repeat else kept


def write_few_shot(
    source: Path | str,
    out: Path | str,
    *,
    shots: int,
    seed: int = 0,
    repeat: bool = False,
    labels: Path | str | None = None,
    replace: bool = False,
) -> list[Sample]:
    """Write the few-shot list of the list CSV ``source`` to ``out`` (``.csv``).

    Where the published form lies beside the source (``train.txt`` beside ``train.csv``), the chosen lines of it are
    written beside ``out``. Class names come from ``labels``, or from ``labels.csv`` beside the list where there is one;
    classes of it that the list doesn't show, such as the novel ones of base-to-novel, are counted in a warning.

    Raises:
        ParamsError: ``out`` is not a ``.csv``, or has the name of another file of the lists.
        BikeError: ``out`` is read here, or is there already and not to be replaced (``replace``).
        DataError: see :func:`choose_shots`.
    """
    source, out = Path(source), Path(out)
    if out.suffix != ".csv":
        raise ParamsError(f"{out}: not a .csv name; the list is written as CSV. Give one.")
    if labels is None and (source.parent / LABELS_NAME).is_file():
        labels = source.parent / LABELS_NAME
    if out.name in (LABELS_NAME, UNANNOTATED_NAME, AUDIT_NAME):
        raise ParamsError(f"{out}: can't be a list's name, since another file beside lists has it. Give another name.")
    names = read_labels(labels) if labels is not None else None
    full = read_list(source)
    if not full:
        raise DataError(f"{source}: no rows. Write the list again (`bike annotate`).")
    samples = choose_shots(full, shots, seed=seed, names=names, repeat=repeat)
    present = {sample.labels[0] for sample in samples}
    absent = [one_line(name)[:60] for label, name in enumerate(names or ()) if label not in present]
    if absent:
        log.warning(
            "%s: %d of the %d classes of %s are not in it and get no shots: %s",
            source,
            len(absent),
            len(names or ()),
            labels,
            first_few(absent, 3),
        )
    published, lines_out = source.with_suffix(".txt"), out.with_suffix(".txt")
    lines = _published_lines(published, full, samples)
    inputs = [source, labels, published]
    with claim_file(out, inputs=inputs, replace=replace), claim_file(lines_out, inputs=inputs, replace=True):
        if lines_out.is_file() and read_text(lines_out, exact=True) != lines:
            refuse_finished(lines_out, size_text(lines_out.stat().st_size), replace)
            if not lines:
                remove(lines_out)  # of an earlier choice
        if lines:
            with atomic_write(lines_out, "w") as file:
                file.write(lines)
        write_list(out, samples)
    return samples


def _published_lines(published: Path, full: Sequence[Sample], chosen: Sequence[Sample]) -> str:
    """The lines of a published list that mean the chosen samples; none where it is not that of ``full``."""
    # The list's own lines rather than new ones: they may name frame folders by key, or video files.
    lines = [text for _, text in read_lines(published)] if published.is_file() else []
    labels = [",".join(map(str, sample.labels)) or "-1" for sample in full]
    if len(lines) != len(full) or any(line.split()[-1:] != [ids] for line, ids in zip(lines, labels, strict=True)):
        return ""
    line_of = {(sample.video, sample.labels): line for sample, line in zip(full, lines, strict=True)}
    return "".join(f"{line_of[sample.video, sample.labels]}\n" for sample in chosen)


def _rank(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{key}".encode("utf-8", "surrogateescape")).digest()


def _name(label: int, names: Sequence[str] | None) -> str:
    return f"{label} ({names[label]})" if names is not None and label < len(names) else str(label)


def _repeat(samples: list[Sample], length: int) -> list[Sample]:
    """Go through ``samples`` until there are ``length`` of them; repetition n of a key is ``<key>-r<n>``."""
    taken = {sample.key for sample in samples}
    repeated = list(samples)
    round_number = 1
    while len(repeated) < length:
        round_number += 1
        for sample in samples[: length - len(repeated)]:
            key = f"{sample.key}-r{round_number}"  # keys are unique in a list
            while key in taken:
                key += "-x"
            taken.add(key)
            repeated.append(replace(sample, key=key))
    return repeated
