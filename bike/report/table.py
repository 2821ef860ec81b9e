"""The result table as Markdown, in the README, and in the terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bike.errors import BikeError, first_few
from bike.files import atomic_write, existing_file
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
    "top5": "Top-5",
    "mean_class": "Mean class",
    "map": "mAP",
    "order": "Order pairs",
    "videos": "Videos",
    "seconds": "Seconds",
}
TEXT_COLUMNS = ("method", "head", "views")
FIGURES = (*PERCENTS, "order")


def table_columns(rows: Sequence[Row]) -> dict[str, str]:
    """Field of :class:`Row` -> column title, in order; order pairs only where some row has a figure."""
    ordered = any(row.order is not None for row in rows)
    return {field: title for field, title in _COLUMNS.items() if field != "order" or ordered}


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
            i: round(value, 1)
            for i, row in enumerate(rows)
            if row.folder and (value := getattr(row, field)) is not None
        }
        best |= {(i, field) for i, value in shown.items() if value == max(shown.values())}
    return best


def markdown_table(rows: Sequence[Row]) -> str:
    """The table in Markdown, ending in a line feed; the best figures are bold, text from files can't leave its cell."""
    best, columns = best_cells(rows), table_columns(rows)
    rules = ["---" if field in TEXT_COLUMNS else "---:" for field in columns]
    lines = [list(columns.values()), rules]
    for i, row in enumerate(rows):
        cells = [
            escape_markdown(cell_text(row, field)) if field in TEXT_COLUMNS else cell_text(row, field)
            for field in columns
        ]
        lines.append(
            [f"**{cell}**" if (i, field) in best else cell for cell, field in zip(cells, columns, strict=True)]
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escape_markdown(text: str) -> str:
    """``text`` for a cell of a Markdown table: one line, every character that could mean something as an entity."""
    folded = " ".join(visible(text).split())
    return re.sub(r"[^\w ,+()×–-]|_", lambda match: f"&#{ord(match[0])};", folded)


def visible(text: str) -> str:
    """``text`` with control characters, undecodable bytes and direction overrides written as ``\\x..`` escapes."""
    return re.sub(
        r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]",
        lambda match: match[0].encode("unicode_escape", "surrogatepass").decode("ascii"),
        text,
    )


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
        cells = [Text(visible(cell_text(row, field)), "bold" if (i, field) in best else "") for field in columns]
        if i and row.method == rows[i - 1].method:
            cells[0] = Text("")
        table.add_row(*cells, style="" if row.folder else "dim")
    return table


def update_readme(readme: Path | str, rows: Sequence[Row]) -> bool:
    """Write the table between the two markers of ``readme``, atomically; the rest keeps its bytes.

    Returns:
        Whether the file changed.

    Raises:
        BikeError: the markers are missing, stand twice or in the wrong order.
    """
    text, start, end = _block(readme)
    line_end = "\r\n" if text[start : start + 2] == "\r\n" else "\n"
    table = markdown_table(rows).replace("\n", line_end)
    new = text[:start] + line_end + table + text[end:]
    if new == text:
        return False
    with atomic_write(readme, "wb") as file:
        file.write(new.encode("utf-8"))
    return True


def check_readme(
    readme: Path | str, results: Path | str, *, order_pairs: Sequence[tuple[str, str]] = (), timings: bool = True
) -> None:
    """Compare the table in ``readme`` with the metrics files below ``results``.

    Args:
        readme: the file with the two markers.
        results: the folder that :func:`bike.report.rows.results_table` reads.
        order_pairs: as given to that function.
        timings: compare the seconds, too; they differ between machines.

    Raises:
        BikeError: they differ; the first ten cells are named.
    """
    text, start, end = _block(readme)
    wanted = _cells(markdown_table(results_table(results, order_pairs=order_pairs)))
    found = _cells(text[start:end])
    if [len(line) for line in found] != [len(line) for line in wanted]:
        raise BikeError(f"{readme}: the table has other rows or columns than {results} gives. Run `bike report`.")
    differences = [
        f"row {number}, {column}: {have or 'nothing'} instead of {should}"
        for number, (line, right) in enumerate(zip(found, wanted, strict=True))
        for column, have, should in zip(wanted[0], line, right, strict=True)
        if have != should and (timings or column != _COLUMNS["seconds"])
    ]
    if differences:
        raise BikeError(f"{readme}: differs from {results}: {first_few(differences)}. Run `bike report`.")


def check_markers(readme: Path | str) -> None:
    """Raise a BikeError unless ``readme`` has the two markers of the result table, once each."""
    _block(readme)


def _block(readme: Path | str) -> tuple[str, int, int]:
    """The text of ``readme`` and where the block between the markers starts and ends."""
    try:
        text = existing_file(readme).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise BikeError(f"{readme}: not UTF-8 text (byte {error.start}). Is it the right file?") from error
    count: Callable[[str], int] = text.count
    if (count(START), count(END)) != (1, 1) or text.index(START) > text.index(END):
        raise BikeError(
            f"{readme}: needs the line {START} and, after it, the line {END}, once each "
            f"(got {count(START)} and {count(END)}). Put them where the table belongs."
        )
    return text, text.index(START) + len(START), text.index(END)


def _cells(block: str) -> list[list[str]]:
    """Cells of the Markdown table in ``block``: the head, then each row (the line of dashes is left out)."""
    lines = [line.strip() for line in block.splitlines() if line.strip()]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return rows[:1] + rows[2:]
