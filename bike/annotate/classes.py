"""Class names: ids, spelling variants, and the words that a prompt uses."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from bike.annotate.reading import Table, is_text
from bike.errors import DataError, first_few, one_line
from bike.files import read_lines

MAX_CLASSES = 100_000


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


def clean_class_name(name: str, where: str) -> str:
    """A class name on one line, without control characters.

    Raises:
        DataError: it is empty, too long, or not UTF-8.
    """
    if not is_text(name):
        raise DataError(f"{where}: class name is not UTF-8 text. Save the file as UTF-8, or rename the folder.")
    if not name.isprintable():
        name = "".join(char if char.isprintable() else " " for char in name)
    name = one_line(name)
    if not name or len(name) > 500:
        raise DataError(
            f"{where}: class name has {len(name)} characters; 1 to 500 are allowed. Correct the annotation."
        )
    return name


def read_class_file(path: Path | str) -> tuple[list[str], list[str] | None]:
    """Class names in order of their ids, from a CSV ``id,name[,published]`` or a text file with one name a line.

    Returns:
        Published names, and readable ones where the file has both.

    Raises:
        DataError: ids with a gap or repetition, a duplicate name, or no names at all.
    """
    lines = read_lines(path)
    header = {word.strip("\"' ").lower() for word in re.split(r"[,;\t]", lines[0][1])} if lines else set()
    if not {"id", "name"} <= header:
        if Path(path).suffix.lower() == ".csv" and len(header) > 1:
            raise DataError(f"{path}: columns id and name are needed. A list of names alone is a .txt, one a line.")
        return names_by_id(((f"line {line}", str(index), text) for index, (line, text) in enumerate(lines)), path), None
    table = Table(path, any_case=True)
    number, name = table.index("id"), table.index("name")
    rows = [(f"line {line}", row) for line, row in table.rows()]
    names = names_by_id(((where, row[number], row[name]) for where, row in rows), path)
    if "published" not in table.columns:
        return names, None
    published = table.index("published")
    return names_by_id(((where, row[number], row[published] or row[name]) for where, row in rows), path), names


def names_by_id(rows: Iterable[tuple[str, str, str]], path: Path | str, *, first: int = 0) -> list[str]:
    """Class names in order of their ids.

    Args:
        rows: where it is said (``line 3``), an id, and its name; in any order.
        path: the file, for errors.
        first: the lowest id.

    Raises:
        DataError: ids with a gap or repetition, a duplicate name, or no names at all.
    """
    names: dict[int, str] = {}
    bad = []
    for where, word, name in rows:
        # `²` is a digit to Python and no number to int(); longer ones than any data set has would take long to convert.
        index = int(word) if word.isascii() and word.strip().isdigit() and len(word) < 10 else -1
        if index < 0 or index in names:
            bad.append(f"{where} (id {one_line(word)[:40]!r})")
        else:
            names[index] = clean_class_name(name, f"{path}: {where}")
    remedy = f"Number the classes from {first}."
    if bad:
        raise DataError(f"{path}: ids that are not integers or duplicates: {first_few(bad)}. {remedy}")
    if sorted(names) != list(range(first, first + len(names))):
        raise DataError(f"{path}: ids must run from {first} without a gap (got {len(names)} ids). {remedy}")
    return distinct_names([names[index] for index in sorted(names)], path)


def distinct_names(names: list[str], path: Path | str) -> list[str]:
    """``names`` as they are.

    Raises:
        DataError: there are none or too many, or two classes have the same name.
    """
    if not names:
        raise DataError(f"{path}: no class names in it. Is it the right file?")
    duplicates = [repr(name) for name, count in Counter(names).items() if count > 1]
    if duplicates:
        raise DataError(f"{path}: duplicate class names: {first_few(duplicates)}. Give each class its own name.")
    if len(names) > MAX_CLASSES:
        raise DataError(f"{path}: {len(names)} classes; at most {MAX_CLASSES} are allowed. Is it the right file?")
    return names
