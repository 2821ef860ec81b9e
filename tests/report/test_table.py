"""The table as Markdown and in the README: right figures, nothing can leave its cell, the rest of the file is safe."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from helpers.results import PAIRS, write_evaluation, write_results
from markdown_it import MarkdownIt
from rich.console import Console

from bike.errors import BikeError
from bike.report.rows import Row, results_table
from bike.report.table import (
    END,
    START,
    best_cells,
    check_readme,
    escape_markdown,
    markdown_table,
    rich_table,
    update_readme,
    visible,
)

HOSTILE = (
    "a|b||c",
    "line\nbreak\r\nand\ttab",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- results:end -->",
    "[click](javascript:alert(1))",
    "![](https://example.org/pixel.png)",
    "`code` **bold** _it_ ~~gone~~ $x$ \\| \\",
    "https://example.org and www.example.org",
    "&lt;b&gt; &#124; &amp;",
    "\u202egnp.exe",
    "\x00\x07\x1b[31m",
    "bytes \udcff\udc80",
    "a" * 500,
    "---",
    "  spaces  ",
    "",
)
BEFORE, AFTER = "# Title\n\nProse.\n\n", "\nMore prose: 50 %.\n"


def texts(table: str) -> list[list[str]]:
    """Plain text of every cell, as a Markdown reader sees it."""
    tokens = MarkdownIt("commonmark").enable("table").parse(table)
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline":
            rows[-1].append("".join(child.content for child in token.children or []))
    return rows


def test_a_small_table() -> None:
    rows = [
        Row("", "Chance", top1=25.0, videos=8),
        Row(
            "a",
            "Video branch",
            "transf + vcs",
            "4×3",
            top1=61.25,
            top5=100.0,
            videos=8,
            seconds=2.345,
            folder=Path("a"),
        ),
        Row("b", "Fusion of both branches", ran=False),
    ]
    assert markdown_table(rows) == (
        "| Method | Head | Views | Top-1 | Top-5 | Mean class | mAP | Videos | Seconds |\n"
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| Chance | – | – | 25.0 | – | – | – | 8 | – |\n"
        "| Video branch | transf + vcs | 4×3 | **61.2** | **100.0** | – | – | 8 | 2.3 |\n"
        "| Fusion of both branches | – | – | not run | – | – | – | – | – |\n"
    )


def test_order_pairs_are_a_column_only_where_measured() -> None:
    assert "Order pairs" not in markdown_table([Row("a", "A", top1=1.0)])
    assert "| Order pairs |" in markdown_table([Row("a", "A", top1=1.0, order=50.0)])


def test_equal_figures_are_all_best_and_chance_is_never() -> None:
    rows = [
        Row("", "Chance", top1=99.0),
        Row("a", "A", top1=50.04, folder=Path("a")),
        Row("b", "B", top1=50.0, folder=Path("b")),
        Row("c", "C", top1=0.0, folder=Path("c")),
    ]
    assert best_cells(rows) == {(1, "top1"), (2, "top1")}


def test_hostile_text_stays_in_its_cell() -> None:
    rows = [Row(text, text, text, text, top1=1.0, folder=Path("x")) for text in HOSTILE]
    table = markdown_table(rows)
    assert len(table.splitlines()) == len(rows) + 2
    html = MarkdownIt("gfm-like", {"linkify": False}).render(table)
    assert set(re.findall(r"<(/?\w*)", html)) == {"table", "/table", "thead", "/thead", "tbody", "/tbody"} | {
        slash + tag for slash in ("", "/") for tag in ("tr", "th", "td", "strong")
    }
    found = texts(table)
    assert all(len(row) == 9 for row in found)
    for row, text in zip(found[1:], HOSTILE, strict=True):
        assert row[0] == (" ".join(visible(text).split()) or ("–" if not text else ""))


def test_visible_shows_what_would_be_unseen() -> None:
    assert visible("a\x00\x1b\u202e\udcff\u2066") == "a\\x00\\x1b\\u202e\\udcff\\u2066"
    assert visible("naïve – 日本語 🎾") == "naïve – 日本語 🎾"


def test_plain_names_are_left_readable() -> None:
    assert escape_markdown("Zero-shot, pretrained CLIP") == "Zero-shot, pretrained CLIP"
    assert escape_markdown("transf + vcs") == "transf + vcs"


def test_the_terminal_table_prints_control_characters_harmlessly() -> None:
    console = Console(record=True, width=200, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    with console.file:
        console.print(rich_table([Row("a", "\x1b[31m[red]evil[/red]", top1=12.5, folder=Path("a"))]))
        text = console.export_text(styles=True)
    assert "\\x1b" in text.replace("\x1b[", "ESC")
    assert "[red]evil" in text
    assert "12.5" in text


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_results(tmp_path / "results")


def write_readme(path: Path, block: str = "\n", *, line_end: str = "\n") -> Path:
    text = f"{BEFORE}{START}{block}{END}{AFTER}".replace("\n", line_end)
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_only_the_block_changes(tmp_path: Path, results: Path, line_end: str) -> None:
    readme = write_readme(tmp_path / "README.md", "\nold\n", line_end=line_end)
    rows = results_table(results)
    assert update_readme(readme, rows)
    text = readme.read_bytes().decode()
    table = markdown_table(rows)
    assert text == f"{BEFORE}{START}\n{table}{END}{AFTER}".replace("\n", line_end)
    check_readme(readme, results)
    stamp = readme.stat().st_mtime_ns
    assert not update_readme(readme, rows)
    assert readme.stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    "text",
    ["no markers", START, END, f"{END}\n{START}", f"{START}\n{START}\n{END}", f"{START}{END}{END}"],
)
def test_markers_must_stand_once_and_in_order(tmp_path: Path, results: Path, text: str) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(BikeError, match="once each"):
        update_readme(readme, results_table(results))
    assert readme.read_text() == text


def test_a_readme_that_is_not_text_or_not_there(tmp_path: Path, results: Path) -> None:
    rows = results_table(results)
    with pytest.raises(BikeError, match="no such file"):
        update_readme(tmp_path / "README.md", rows)
    (tmp_path / "README.md").write_bytes(b"\xff\xfe")
    with pytest.raises(BikeError, match="not UTF-8"):
        update_readme(tmp_path / "README.md", rows)


def test_check_names_the_cell_that_differs(tmp_path: Path, results: Path) -> None:
    readme = write_readme(tmp_path / "README.md")
    update_readme(readme, results_table(results, order_pairs=PAIRS))
    check_readme(readme, results, order_pairs=PAIRS)
    folder = results / "fuse" / "4x3"
    (folder / "metrics.json").write_text('{"top1": 1.5, "videos": 24}')
    with pytest.raises(BikeError, match=r"row 14, Top-1: \S+ instead of 1\.5"):
        check_readme(readme, results, order_pairs=PAIRS)


def test_seconds_may_be_left_out_of_the_check(tmp_path: Path, results: Path) -> None:
    readme = write_readme(tmp_path / "README.md")
    update_readme(readme, results_table(results))
    (results / "fuse" / "4x3" / "timing.json").write_text('{"seconds": 999}')
    check_readme(readme, results, timings=False)
    with pytest.raises(BikeError, match=r"Seconds: \S+ instead of 999\.0"):
        check_readme(readme, results)


def test_check_finds_missing_rows_and_columns(tmp_path: Path, results: Path) -> None:
    readme = write_readme(tmp_path / "README.md")
    with pytest.raises(BikeError, match="other rows or columns"):
        check_readme(readme, results)
    update_readme(readme, results_table(results))
    with pytest.raises(BikeError, match="other rows or columns"):
        check_readme(readme, results, order_pairs=PAIRS)
    write_evaluation(results / "more" / "1x1")
    with pytest.raises(BikeError, match="other rows or columns"):
        check_readme(readme, results)
