"""The pages in a real browser: no complaint, nothing asked of the network; people can sort, point, read and print."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.chromium import Page, chromium, needs_chromium
from helpers.results import NAMES, PAIRS, make_strips, write_curves, write_data, write_evaluation, write_results
from PIL import Image

from bike.params import Params, parse_params
from bike.report.compare import build_comparison
from bike.report.curves import read_curves
from bike.report.data import summarise_data
from bike.report.page import render_page
from bike.report.rows import results_table

pytestmark = needs_chromium
EVIL = ("</script><script>alert(1)</script>", "'\"><img src=x onerror=alert(1)>", "&quot;'}]`${7*7}\u2028<!--")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``report.html`` with every section, ``many.html`` of 60 classes with hostile names, ``comparison/index.html``."""
    root = tmp_path_factory.mktemp("pages")
    data = summarise_data(*write_data(root))
    params = parse_params({"report": {"order_pairs": [list(pair) for pair in PAIRS]}}, "test")
    rows = results_table(write_results(root / "results"), order_pairs=PAIRS)
    html = render_page(rows, data, params, curves=read_curves(root / "results"), strips=make_strips())
    (root / "report.html").write_text(html, encoding="utf-8")
    names = [*EVIL, *(f"class {number} {'of a very long name ' * 4}" for number in range(57))]
    write_evaluation(root / "many" / "fuse" / "1x1", names=names, skill=0.5)
    html = render_page(results_table(root / "many"), data, Params())
    (root / "many.html").write_text(html, encoding="utf-8")
    write_evaluation(root / "<b>many" / "fuse" / "1x1", names=names, seed=77)
    for place in ("many", "<b>many"):
        write_curves(root / place / "train" / "<i>run", steps=50)
    build_comparison([root / "many", root / "<b>many"], root / "comparison")
    return root


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.mark.parametrize("name", ["report.html", "many.html", "comparison/index.html"])
@pytest.mark.parametrize("width", [390, 1400])
def test_a_page_fits_its_window_without_a_complaint(pages: Path, browser: Page, name: str, width: int) -> None:
    browser.problems.clear()
    browser.open(pages / name, width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width  # nothing to scroll sideways but within tables
    if width == 1400:  # where the results need no scrolling
        table = "document.querySelector('.scroll')"
        assert browser.run(f"{table}.scrollWidth - {table}.clientWidth") <= 0
    picture = np.asarray(Image.open(io.BytesIO(browser.screenshot())).convert("L"))
    assert picture.shape[1] >= width - 20
    assert picture.std() > 10  # something is drawn
    assert browser.problems == []


def test_the_browser_notices_what_a_page_must_not_do(pages: Path, browser: Page) -> None:
    """The tests here can fail: a foreign script is refused, and told."""
    html = (pages / "report.html").read_text().replace("</main>", "<script>document.title = 'taken'</script></main>")
    (pages / "foreign.html").write_text(html)
    browser.problems.clear()
    browser.open(pages / "foreign.html", width=800)
    assert "Content Security Policy" in " ".join(browser.problems)
    assert browser.run("document.title") == "bike report"


def test_tables_sort_by_keyboard_and_pointer(pages: Path, browser: Page) -> None:
    browser.open(pages / "report.html", width=1400)
    column = "[...document.querySelectorAll('#classes tbody tr')].map(row => +row.cells[{}].textContent.split(' ')[0])"
    heads = browser.run("[...document.querySelectorAll('#classes th')].map(head => head.textContent)")
    place = heads.index("AP")
    browser.run("document.querySelector('#classes th').firstChild.click()")
    names = browser.run("[...document.querySelectorAll('#classes tbody tr')].map(row => row.cells[0].textContent)")
    assert names == sorted(NAMES)
    before = browser.run(column.format(place))
    assert before != sorted(before, reverse=True)
    browser.run(f"document.querySelectorAll('#classes th')[{place}].firstChild.focus()")
    browser.press("Enter")
    assert browser.run(column.format(place)) == sorted(before, reverse=True)
    browser.press("Enter")
    assert browser.run(column.format(place)) == sorted(before)
    assert browser.run("document.querySelector('#classes th[aria-sort]').ariaSort") == "ascending"


def test_a_chart_tells_its_values(pages: Path, browser: Page) -> None:
    browser.open(pages / "report.html", width=1400)
    tip = "document.querySelector('.tip').textContent"
    assert browser.run(tip) == ""
    browser.point("#training svg", across=0.5)
    text = browser.run(tip)
    assert re.search(r"^video-transf-vcs: [\d.e-]+ at step \d+$", text, re.M)
    assert 100 < int(re.findall(r"at step (\d+)", text)[0]) < 300  # the middle of 400 steps
    browser.point("h1")
    assert browser.run(tip) == ""
    browser.run("document.querySelector('#training svg').focus()")
    browser.press("Home")
    text = browser.run(tip)
    first = int(re.findall(r"at step (\d+)", text)[0])
    browser.press("ArrowRight")
    text = browser.run(tip)
    assert first < int(re.findall(r"at step (\d+)", text)[0]) < 10


def test_a_matrix_of_many_classes_names_its_cells_and_grows(pages: Path, browser: Page) -> None:
    browser.open(pages / "many.html", width=1400)
    for place in (0, 1, 30, 59):
        names = browser.run(f"JSON.parse(document.querySelector('figure.dense').dataset.names)[{place}]")
        browser.point(".dense img", *[(place + 0.5) / 60] * 2)
        text = browser.run("document.querySelector('.tip').textContent")
        assert re.fullmatch(re.escape(names) + r": [0-4] of 4 as " + re.escape(names), text)
    width = "document.querySelector('.dense img').getBoundingClientRect().width"
    small = browser.run(width)
    browser.run("[...document.querySelectorAll('.dense button')].find(b => b.textContent === 'Larger').click()")
    assert browser.run(width) == pytest.approx(2 * small)


@pytest.mark.parametrize("name", ["many.html", "comparison/index.html"])
def test_names_stay_names(pages: Path, browser: Page, name: str) -> None:
    browser.open(pages / name, width=1400)
    assert browser.run("document.querySelectorAll('script').length") == 1
    assert browser.run("document.querySelectorAll('td b, td i:not(.share i), summary > *').length") == 0
    assert browser.run("[...document.querySelectorAll('img')].every(img => img.src.startsWith('data:'))")
    shown = browser.run("[...document.querySelectorAll('#classes tbody tr')].map(row => row.cells[0].textContent)")
    assert {*EVIL[:2], EVIL[2].replace("\u2028", " ")} <= {name.replace("\\u2028", " ") for name in shown}


def test_what_scrolls_takes_the_keyboard_and_has_a_caption(pages: Path, browser: Page) -> None:
    for name in ("report.html", "many.html", "comparison/index.html"):
        browser.open(pages / name, width=390)
        assert browser.run(
            "[...document.querySelectorAll('.scroll')].every(box => box.tabIndex === 0 && box.ariaLabel)"
        )
        assert browser.run(
            "[...document.querySelectorAll('table')].every(table => table.caption || table.closest('figure'))"
        )
        assert browser.run("[...document.querySelectorAll('figure')].every(f => f.querySelector('figcaption'))")
        assert browser.run("[...document.querySelectorAll('img, svg')].every(i => i.alt || i.ariaLabel)")


def test_paper_shows_everything_in_its_colours(pages: Path, browser: Page) -> None:
    browser.open(pages / "report.html", width=1400)
    folded = browser.run("document.querySelectorAll('details:not([open])').length")
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF")
    assert folded > 0
    assert browser.run("document.querySelectorAll('details:not([open])').length") == 0
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.call("Emulation.setDeviceMetricsOverride", width=718, height=1000, deviceScaleFactor=1, mobile=False)
    wide = "[...document.querySelectorAll('.scroll > *')].map(inner => inner.offsetWidth || inner.clientWidth)"
    assert max(browser.run(wide)) <= 718  # as wide as A4 within its margins: nothing is cut
    assert browser.run("getComputedStyle(document.querySelector('td.share i')).printColorAdjust") == "exact"
    assert browser.run("getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
    browser.call("Emulation.setEmulatedMedia", media="")
