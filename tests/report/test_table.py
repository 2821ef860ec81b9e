"""The table as Markdown, in the README and in the terminal: right figures, and nothing can leave its cell."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from helpers.results import PAIRS, write_evaluation, write_results
from markdown_it import MarkdownIt
from rich.console import Console

from bike.errors import BikeError, one_line
from bike.report.rows import Row
from bike.report.table import (
    END,
    START,
    best_cells,
    check_readme,
    escape_markdown,
    markdown_table,
    renew_readme,
    rich_table,
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
        Row("a", "Video branch", "transf + vcs", "4×3", 61.25, 100.0, videos=8, folder=Path("a")),
        Row("b", "Fusion of both branches"),
    ]
    assert markdown_table(rows) == (
        "| Method | Head | Views | Top-1 | Top-5 | Mean class | mAP | Videos |\n"
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| Chance | – | – | 25.0 | – | – | – | 8 |\n"
        "| Video branch | transf + vcs | 4×3 | **61.2** | **100.0** | – | – | 8 |\n"
        "| Fusion of both branches | – | – | not run | – | – | – | – |\n"
    )


def test_order_pairs_are_a_column_only_where_measured() -> None:
    assert "Order pairs" not in markdown_table([Row("a", "A", top1=1.0)])
    assert "| Order pairs |" in markdown_table([Row("a", "A", top1=1.0, order=50.0)])


def test_half_of_the_interval_stands_beside_top_1_where_there_is_one() -> None:
    assert "±" not in markdown_table([Row("a", "A", top1=1.0)])
    table = markdown_table([Row("", "A", top1=60.0, low=57.551, high=62.449), Row("", "B", top1=50.0)])
    assert [row[3:5] for row in texts(table)] == [["Top-1", "±"], ["60.0", "2.4"], ["50.0", "–"]]


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
    assert all(len(row) == 8 for row in found)
    for row, text in zip(found[1:], HOSTILE, strict=True):
        assert row[0] == (one_line(text) or ("–" if not text else ""))


def test_plain_names_are_left_readable() -> None:
    assert escape_markdown("Zero-shot, pretrained CLIP") == "Zero-shot, pretrained CLIP"
    assert escape_markdown("transf + vcs (4×3)") == "transf + vcs (4×3)"
    assert escape_markdown("naïve – 日本語 🎾, C|D") == "naïve – 日本語 🎾, C\\|D"


def test_the_terminal_table_prints_control_characters_harmlessly() -> None:
    console = Console(record=True, width=200, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    with console.file:
        console.print(rich_table([Row("a", "\x1b[31m[red]evil[/red]", top1=12.5, folder=Path("a"))]))
        text = console.export_text(styles=True)
    assert "\\x1b" in text.replace("\x1b[", "ESC")
    assert "[red]evil" in text
    assert "12.5" in text


def test_the_readme_is_renewed_from_the_results_and_compared_with_them(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{START}\n{END}\nafter\n")

    def check() -> None:
        check_readme(readme, results, order_pairs=PAIRS)

    for _ in range(2):  # the marks are still whole
        renew_readme(readme, results, order_pairs=PAIRS)
        check()
    assert readme.read_text().startswith(f"before\n{START}\n| Method |")
    assert readme.read_text().endswith(f" |\n{END}\nafter\n")
    assert readme.read_text().count("| Claim |") == 1
    (results / "attributes" / "metrics.json").write_text('{"top1": 1.5, "videos": 24}')
    with pytest.raises(BikeError, match=r"\| Attribute branch .* instead of .*\| – \| 1\.5 \|.*Run `bike report \S+"):
        check()
    renew_readme(readme, results, order_pairs=PAIRS)
    write_evaluation(results / "more" / "1x1")
    with pytest.raises(BikeError, match=r"instead of \| more \|"):
        check()
    readme.write_text("no marks")
    with pytest.raises(BikeError, match="once each"):
        renew_readme(readme, results)
