"""Class names: ids, spelling variants, and the words that a prompt uses."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from bike.errors import DataError
from bike.files.names import MAX_CLASSES


def readable_name(published: str) -> str:
    """The words of a published class name, for prompts.

    Underscores become blanks and CamelCase is taken apart: ``ApplyEyeMakeup`` gives ``Apply Eye Makeup``,
    ``brush_hair`` gives ``brush hair``. Runs of capitals and text that already has blanks stay: ``BMX``, ``Disc dog``.
    """
    words = " ".join(published.replace("_", " ").split())
    if " " in words:
        return words
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", words)


def fold(text: str) -> str:
    """What is left of a name when case, separators and the way accents are coded are ignored.

    Separators between digits stay (``1_12`` is not ``11_2``), and so does a sign.
    """
    folded = unicodedata.normalize("NFC", text).casefold()
    # A mark that no name can hold keeps digits apart until the other separators are gone.
    folded = re.sub(r"(?<=\d)[\s_-]+(?=\d)", "\0", folded)
    return re.sub(r"(?!^-\d)[\s_-]+", "", folded) or text


class ClassTable:
    """Published class names in order of their ids, and lookup by name, variant or id.

    Args:
        names: all names; an empty one for an id without a name.
        variants: another spelling and the name it stands for.
    """

    def __init__(self, names: Sequence[str], variants: Iterable[tuple[str, str]] = ()) -> None:
        self.names = list(names)
        self._ids: dict[str, int] = {name: index for index, name in enumerate(self.names)}
        # Two names that differ only in separators are both classes: then only the exact spelling finds them.
        folds = Counter(fold(name) for name in self.names)
        self._folded = {fold(name): index for index, name in enumerate(self.names) if folds[fold(name)] == 1}
        self._variants = {variant: self._ids[name] for variant, name in variants}

    def find(self, label: str | int) -> tuple[int, str]:
        """The id of ``label`` and the finding that goes with it: none (``""``), ``spelling`` or ``no_name`` (id -1)."""
        if isinstance(label, int):
            return (label, "") if 0 <= label < len(self.names) and self.names[label] else (-1, "no_name")
        if label in self._ids:
            return self._ids[label], ""
        index = self._variants.get(label, self._folded.get(fold(label), -1))
        return index, "spelling" if index >= 0 else "no_name"

    def add(self, label: str | int) -> int:
        """Give ``label`` a place: a name goes to the end, an integer fills the table up to itself."""
        if isinstance(label, str):
            self.names.append(label)
            self._ids[label] = len(self.names) - 1
            return self._ids[label]
        if not 0 <= label < MAX_CLASSES:
            raise DataError(
                f"label {label}: not a class id; 0 to {MAX_CLASSES - 1} are allowed. Correct the annotation."
            )
        self.names.extend("" for _ in range(label + 1 - len(self.names)))
        self.names[label] = f"class {label}"
        return label

    def fill_gaps(self) -> list[int]:
        """Name the ids that have no name ``class <id>``, so that ids run without a gap; the ids named so."""
        gaps = [index for index, name in enumerate(self.names) if not name]
        for index in gaps:
            self.names[index] = f"class {index}"
        return gaps


def derive_classes(labels: Iterable[str | int]) -> ClassTable:
    """A table from the labels that occur: names in alphabetical order, variants of a spelling under the commonest one.

    Integer labels bring no names: the table has none for them.
    """
    counts = Counter(label for label in labels if isinstance(label, str))
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(counts, key=lambda name: (-counts[name], name)):  # so the commonest leads its group
        groups[fold(name)].append(name)
    names = sorted(group[0] for group in groups.values())
    return ClassTable(names, [(variant, group[0]) for group in groups.values() for variant in group[1:]])
