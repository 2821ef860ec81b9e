"""Two or more results side by side: which differences exceed chance, which classes and which videos changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from bike.errors import DataError, ParamsError, first_few
from bike.files import atomic_write, check_not_read, claim_folder, existing_dir
from bike.report.claims import measure_difference
from bike.report.curves import Curve, read_curves, validation_values
from bike.report.mistakes import Verdict, scores_of, verdicts
from bike.report.origin import ORIGINS, origin_table
from bike.report.page import render
from bike.report.rows import Row, best_row, check_same_classes, chosen_row, read_row, results_table

MOST = len(ascii_uppercase)
DIFFERENCES = (
    "Evaluation",
    "Compared",
    "Top-1 of A",
    "Top-1",
    "Difference",
    "95 % interval",
    "Gained",
    "Lost",
    "Shown",
)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the results compared: a results folder, or the folder of one evaluation."""

    letter: str
    place: Path
    rows: dict[str, Row]  # by folder below the results, such as `fuse/4x3`
    curves: list[Curve]


def build_comparison(places: Sequence[Path], out: Path) -> int:
    """Write ``index.html`` into ``out``: the first of ``places`` beside each of the others.

    Args:
        places: two or more results folders, whose evaluations of equal names are compared; or folders of one
            evaluation each, which are compared whatever their names.
        out: the page's folder.

    Returns:
        How many evaluations are in all of them.

    Raises:
        ParamsError: one place, or more than there are letters.
        DataError: nothing in common, other classes, or a damaged file.
        BikeError: a folder is missing, or ``out`` can't be written.
    """
    if not 2 <= len(places) <= MOST:
        raise ParamsError(f"RESULTS: 2 to {MOST} folders can be compared (got {len(places)}). Name fewer.")
    sides = [_read_side(letter, place) for letter, place in zip(ascii_uppercase, places, strict=False)]
    shared = _in_common(sides)
    check_same_classes([row for rows in shared.values() for row in rows])
    html = render("compare.html.j2", **_content(sides, shared))
    check_not_read([out], places)
    with (
        claim_folder(out, "comparison", names=("index.html",)) as output,
        output.writing("index.html") as folder,
        atomic_write(folder / "index.html", "w") as file,
    ):
        file.write(html)
    return len(shared)


def _read_side(letter: str, place: Path) -> Side:
    place = existing_dir(place)
    if (place / "metrics.json").is_file():
        at = place.resolve()
        row = read_row(at, at.parents[bool(re.fullmatch(r"\d+x\d+", at.name))])
        return Side(letter, place, {row.place: row}, [])
    rows = {row.place: row for row in results_table(place) if row.folder}
    return Side(letter, place, rows, read_curves(place))


def _in_common(sides: Sequence[Side]) -> dict[str, list[Row]]:
    """The evaluations that all sides have, by name, in the order of the table."""
    if all(len(side.rows) == 1 for side in sides):
        rows = [next(iter(side.rows.values())) for side in sides]
        return {" and ".join(dict.fromkeys(row.place for row in rows)): rows}
    names = [name for name in sides[0].rows if all(name in side.rows for side in sides)]
    if not names:
        had = [f"{side.place} has {first_few(list(side.rows), 4)}" for side in sides]
        raise DataError(f"{sides[0].place}: no evaluation that all have ({'; '.join(had)}). Name evaluations' folders.")
    return {name: [side.rows[name] for side in sides] for name in names}


def _content(sides: Sequence[Side], shared: Mapping[str, list[Row]]) -> dict[str, Any]:
    letters = [side.letter for side in sides]
    firsts = [rows[0] for rows in shared.values()]
    focus = chosen_row(firsts, validation_values(sides[0].curves)) or best_row(firsts)
    name, rows = next((name, rows) for name, rows in shared.items() if rows[0] is focus)
    scores = [scores_of(row) for row in rows]
    said = [verdicts(one) if one else {} for one in scores]
    keys = [key for key, one in said[0].items() if all(key in s and s[key].labels == one.labels for s in said)]
    names = scores[0].names if scores[0] else []
    return {
        "title": "bike report: comparison",
        "sides": sides,
        "letters": letters,
        "differences": [line for name, rows in shared.items() for line in _differences(name, rows, letters)],
        "differences_columns": DIFFERENCES,
        "focus": name,
        "videos": len(keys),
        "classes": _classes(said, keys, names),
        "changed": _changed(said, keys, names, letters),
        "curves": _by_run(sides),
        "origins": [(side.letter, *line) for i, side in enumerate(sides) for line in origin_table([rows[i]])],
        "origins_columns": ("", *ORIGINS),
    }


def _differences(name: str, rows: Sequence[Row], letters: Sequence[str]) -> list[tuple[Any, ...]]:
    """The cells below :data:`DIFFERENCES`, each other side beside the first; dashes where scores are missing."""
    lines: list[tuple[Any, ...]] = []
    for letter, row in zip(letters[1:], rows[1:], strict=True):
        pair = (name, f"{letter} – A", rows[0].top1, row.top1)
        if found := measure_difference(name, row, rows[0]):
            shown = ("better" if found.difference > 0 else "worse") if found.differs else "no"
            interval = f"{found.low:+.1f} to {found.high:+.1f}"
            lines.append((*pair, f"{found.difference:+.1f}", interval, found.gained, found.lost, shown))
        else:
            lines.append((*pair, None, None, None, None, "no scores of the same videos"))
    return lines


def _classes(said: Sequence[Mapping[str, Verdict]], keys: Sequence[str], names: Sequence[str]) -> list[list[Any]]:
    """Of each class with videos: name, number, share given a right class by each side, and differences to the first."""
    lines = []
    for label, name in enumerate(names):
        own = [key for key in keys if label in said[0][key].labels]
        if own:
            shares = [100 * sum(one[key].right for key in own) / len(own) for one in said]
            lines.append([name, len(own), *shares, *(f"{share - shares[0]:+.1f}" for share in shares[1:])])
    return sorted(lines, key=lambda line: (float(line[-1]), line[0]))


def _changed(
    said: Sequence[Mapping[str, Verdict]], keys: Sequence[str], names: Sequence[str], letters: Sequence[str]
) -> list[list[str]]:
    """Videos that some sides have right and others not: key, class, who has it right, and what each side says."""
    lines = []
    for key in keys:
        found = [one[key] for one in said]
        right = [letter for letter, one in zip(letters, found, strict=True) if one.right]
        if 0 < len(right) < len(letters):
            shown = ", ".join(names[label] for label in found[0].labels)
            predicted = [f"{names[one.predicted]} ({one.score:.4f})" for one in found]
            lines.append([key, shown, ", ".join(right), *predicted])
    return sorted(lines, key=lambda line: (line[2], line[0]))


def _by_run(sides: Sequence[Side]) -> dict[str, list[Curve]]:
    """The curves of each run that two sides or more have, under the letters of the sides."""
    runs: dict[str, list[Curve]] = {}
    for side in sides:
        for curve in side.curves:
            runs.setdefault(curve.run, []).append(replace(curve, run=side.letter))
    return {run: curves for run, curves in runs.items() if len({curve.run for curve in curves}) > 1}
