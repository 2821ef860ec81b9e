"""The result table as Markdown, in the README, and in the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from bike.errors import BikeError, one_line
from bike.files import read_between, write_between
from bike.report.claims import CLAIMS_ARE_TEXT, CLAIMS_COLUMNS, claims_table, measure_claims
from bike.report.rows import PERCENTS, Row, results_table

if TYPE_CHECKING:
    from rich.table import Table

START, END = "<!-- results:start -->", "<!-- results:end -->"
NOT_RUN = "not run"
_COLUMNS = {
    "method": "Method",
    "head": "Head",
    "views": "Views",
    "top1": "Top-1",
    "spread": "±",
    "top5": "Top-5",
    "mean_class": "Mean class",
    "map": "mAP",
    "order": "Order pairs",
    "videos": "Videos",
}
TEXT_COLUMNS = ("method", "head", "views")
FIGURES = (*PERCENTS, "order")


def table_columns(rows: Sequence[Row]) -> dict[str, str]:
    """Field of :class:`Row` -> column title, in order; order pairs and intervals only where some row has a figure."""
    absent = {field for field in ("order", "spread") if all(getattr(row, field) is None for row in rows)}
    return {field: title for field, title in _COLUMNS.items() if field not in absent}


def cell_text(row: Row, field: str) -> str:
    """One cell: figures with one decimal, a dash for what does not apply, "not run" as the first figure if so."""
    if not row.ran and field == "top1":
        return NOT_RUN
    value = getattr(row, field)
    if value is None or value == "":
        return "–"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def best_cells(rows: Sequence[Row]) -> set[tuple[int, str]]:
    """(row, field) of the highest figures as shown, chance aside; equals all count."""
    best = set()
    for field in FIGURES:
        shown = {
            i: round(value, 1)  # 61.24 and 61.22 read the same in the table, so both are bold
            for i, row in enumerate(rows)
            if row.folder and (value := getattr(row, field)) is not None
        }
        best |= {(i, field) for i, value in shown.items() if value == max(shown.values())}
    return best


def markdown_table(rows: Sequence[Row]) -> str:
    """The table in Markdown, ending in a line feed; the best figures are bold, text from files can't leave its cell."""
    best, columns = best_cells(rows), table_columns(rows)
    lines = []
    for i, row in enumerate(rows):
        cells = [
            escape_markdown(cell_text(row, field)) if field in TEXT_COLUMNS else cell_text(row, field)
            for field in columns
        ]
        lines.append(
            [f"**{cell}**" if (i, field) in best else cell for cell, field in zip(cells, columns, strict=True)]
        )
    return _markdown(list(columns.values()), [field in TEXT_COLUMNS for field in columns], lines)


def _markdown(titles: Sequence[str], are_text: Sequence[bool], lines: Sequence[Sequence[str]]) -> str:
    rules = ["---" if text else "---:" for text in are_text]
    return "".join(f"| {' | '.join(line)} |\n" for line in (titles, rules, *lines))


def markdown_results(rows: Sequence[Row]) -> str:
    """:func:`markdown_table`, and below it what it says of the method's claims, where it says anything."""
    lines = [
        [escape_markdown(cell) if text else cell for cell, text in zip(line, CLAIMS_ARE_TEXT, strict=True)]
        for line in claims_table(measure_claims(rows))
    ]
    return markdown_table(rows) + ("\n" + _markdown(CLAIMS_COLUMNS, CLAIMS_ARE_TEXT, lines) if lines else "")


def escape_markdown(text: str) -> str:
    """``text`` on one line, with a backslash before all punctuation that could mean something in Markdown.

    ``( ) + , -`` and blanks stay, so that the usual names are readable in the file: they mean nothing within a cell.
    """
    return re.sub(r"[!-'*./:-@\[-`{-~]", r"\\\g<0>", one_line(text))


def rich_table(rows: Sequence[Row]) -> Table:
    """The table for a terminal; fits 80 columns."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Results on the test split, in percent", box=SIMPLE_HEAD, padding=0)
    columns, best = table_columns(rows), best_cells(rows)
    for field, title in columns.items():
        justify, stays = ("left", field != "method") if field in TEXT_COLUMNS else ("right", True)
        table.add_column(title.replace(" ", "\n"), justify=justify, no_wrap=stays, vertical="bottom")  # type: ignore[arg-type]
    for i, row in enumerate(rows):
        cells = [Text(one_line(cell_text(row, field)), "bold" if (i, field) in best else "") for field in columns]
        if i and row.method == rows[i - 1].method:
            cells[0] = Text("")
        table.add_row(*cells, style="" if row.folder else "dim")
    return table


def rich_claims(rows: Sequence[Row]) -> Table:
    """What the table says of the method's claims, for a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title="What the method claims: differences of top-1", box=SIMPLE_HEAD, padding=0)
    for title, text in zip(CLAIMS_COLUMNS, CLAIMS_ARE_TEXT, strict=True):
        table.add_column(title, justify="left" if text else "right")
    for line in claims_table(measure_claims(rows)):
        table.add_row(*map(one_line, line))
    return table


def renew_readme(readme: Path | str, results: Path | str, *, order_pairs: Sequence[tuple[str, str]] = ()) -> None:
    """Put the tables of the metrics files below ``results`` between the two marks of ``readme``; the rest stays.

    Raises:
        BikeError: ``readme`` has not both marks once each, or the results can't be read.
    """
    write_between(readme, START, END, markdown_results(results_table(results, order_pairs=order_pairs)))


def check_readme(readme: Path | str, results: Path | str, *, order_pairs: Sequence[tuple[str, str]] = ()) -> None:
    """Compare the tables in ``readme`` with the metrics files below ``results``.

    Raises:
        BikeError: they differ; the first line that does is shown.
    """
    tables = read_between(readme, START, END), markdown_results(results_table(results, order_pairs=order_pairs))
    for have, should in zip_longest(*(table.strip().splitlines() for table in tables), fillvalue="nothing"):
        if have != should:
            raise BikeError(
                f"{readme}: differs from {results}: {have} instead of {should}. Run `bike report {results} "
                f"--readme {readme}`."
            )
