"""The site that `make site` builds from docs/: without warnings, complete, and with nothing in it from elsewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from helpers.places import ROOT

from bike.cli import COMMANDS
from bike.params import Machine, Params
from bike.trees.sections import Section

FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}


class Page(HTMLParser):
    """What a page fetches, what it links to, the names to link to in it, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = set()
        self.cells: list[str] = []
        self.inside = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.names |= {values[name] for name in ("id", "name") if name in values}
        if place := values.get(FETCHED.get(tag, ""), ""):
            self.fetched.append(place)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in ("td", "h2", "h3"):
            self.inside = True
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside &= tag not in ("td", "h2", "h3")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.cells[-1] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if any(importlib.util.find_spec(name) is None for name in ("mkdocs", "material", "mkdocstrings")):
        pytest.skip("the extra `docs` is not installed")
    folder = tmp_path_factory.mktemp("docs") / "site"
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def test_every_page_of_the_docs_is_there(site: Path, pages: dict[Path, Page]) -> None:
    docs = ROOT / "docs"
    wanted = {path.relative_to(docs).with_suffix(".html") for path in docs.rglob("*.md")}
    made = {path.relative_to(site) for path in pages}
    extra = {"index", "commands", "parameters", "CONTRIBUTING", "SECURITY", "CHANGELOG", "404"}
    assert made == wanted | {Path(f"{name}.html") for name in extra}


def test_nothing_is_fetched_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    places = [place for page in pages.values() for place in page.fetched]
    assert places
    assert [place for place in places if urlsplit(place).scheme or urlsplit(place).netloc] == []
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert re.findall(r"""(?:@import|url\()\s*["']?(?:https?:)?//[^"')]*""", text) == [], sheet.name


def test_links_within_the_site_hold(site: Path, pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.fetched + page.links:
            parts = urlsplit(link)
            if parts.scheme or path.name == "404.html":  # which is shown in the place of pages anywhere
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = target.is_dir() or target.is_file()
            if not there or (parts.fragment and parts.fragment not in pages[target].names):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


def test_every_command_has_its_help(site: Path, pages: dict[Path, Page]) -> None:
    titles = [cell.rstrip("¶") for cell in pages[site / "commands.html"].cells]
    assert [title for title in titles if re.fullmatch(r"bike [a-z-]+", title)] == [f"bike {name}" for name in COMMANDS]
    text = (site / "commands.html").read_text(encoding="utf-8")
    assert "--short-side" in text
    assert not re.search(r"\[/?b(old)?\]|\x08", text)
    blocks = re.findall(r'<strong>Examples</strong>:</p>\s*(?:<p>)?<div class="[^"]*highlight', text)
    assert len(blocks) == text.count("Examples") >= len(COMMANDS), "examples that are no block of code"


def test_every_parameter_has_range_default_and_meaning(site: Path, pages: dict[Path, Page]) -> None:
    cells = pages[site / "parameters.html"].cells
    schemas = [type(value) for _, value in Params() if isinstance(value, Section)] + [Machine]
    keys = {key for schema in schemas for key in schema.model_fields}
    assert keys <= set(cells)
    row = cells[cells.index("accumulate") :][:5]
    assert row[:3] == ["accumulate", "integer ≥ 1", "1"]
    assert row[4] == "train"
    row = cells[cells.index("fps") :][:5]
    assert row[:3] == ["fps", "number > 0, ≤ 240 or null", "null"]
    assert row[4] == "extract, shard"
    assert "BIKE_DEVICE" in cells
