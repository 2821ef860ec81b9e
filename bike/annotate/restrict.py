"""Lists with fewer classes: those that an incomplete copy has videos of, and the first half of them for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bike.annotate.audit import Audit
from bike.annotate.building import Lists
from bike.annotate.writing import HALVES
from bike.errors import first_few
from bike.files import atomic_write
from bike.params import Annotate


def restrict_classes(
    lists: Lists, names: Sequence[str], published: Sequence[str], policies: Annotate, audit: Audit
) -> tuple[list[str], list[str]]:
    """Leave out the classes without a video, and those that are not trained on, as the policies say.

    Args:
        lists: changed in place. With ``classes: present`` the classes that some list shows are renumbered, in their
            order; with ``train_classes: first_half`` novel classes are left in ``test`` only.
        names, published: both spellings of the class names.
        policies: section ``annotate``.
        audit: gets a note that names the absent classes, and the number of classes.

    Returns:
        Both spellings of the names that are left.
    """
    kept = list(range(len(names)))
    if policies.classes == policies.train_classes == "all":
        return list(names), list(published)
    if policies.classes == "present":
        every = (sample for splits in lists.values() for samples in splits.values() for sample in samples)
        present = {label for sample in every for label in sample.labels}
        absent = [name for label, name in enumerate(names) if label not in present]
        kept = sorted(present)
        if absent:
            audit.notes.append(f"{len(absent)} of {len(names)} classes have no video: {first_few(absent)}.")
    number = {label: index for index, label in enumerate(kept)}
    novel = len(kept) if policies.train_classes == "all" else num_base(len(kept))
    for splits in lists.values():
        for split, samples in splits.items():
            renumbered = [replace(s, labels=tuple(number[label] for label in s.labels)) for s in samples]
            splits[split] = [s for s in renumbered if split == "test" or max(s.labels, default=-1) < novel]
    audit.classes = len(kept)
    return [names[label] for label in kept], [published[label] for label in kept]


def num_base(num_classes: int) -> int:
    """How many of the classes are base classes: half of them, rounded up."""
    return (num_classes + 1) // 2


def write_halves(folder: Path, names: Sequence[str]) -> None:
    """Write the class names of either half, one a line."""
    half = num_base(len(names))
    for name, part in zip(HALVES, (names[:half], names[half:]), strict=True):
        with atomic_write(folder / name, "w") as file:
            file.writelines(f"{word}\n" for word in part)
