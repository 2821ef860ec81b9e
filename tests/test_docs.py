"""What the documents tell people to type exists: commands, options, make targets, parameters, files they link to."""

from __future__ import annotations

import inspect
import pydoc
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.commands import check_command
from helpers.places import ROOT
from helpers.tiny_commands import COMMANDS, MERGES
from ruamel.yaml import YAML

from bike.params import load_params

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]


def shell_lines(page: Path) -> Iterator[list[str]]:
    """Words of every command in the page's ``sh`` blocks: comments away, continued lines joined, pipelines split."""
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words:
                end = next((i for i, word in enumerate(words) if word in ("&&", "||", "|", ";")), len(words))
                yield words[:end]
                words = words[end + 1 :]


def commands_of(page: Path) -> list[list[str]]:
    """The ``bike`` commands of a page, without the program's name and what launches it."""
    found = []
    for words in shell_lines(page):
        if words[:1] == ["bike"]:
            found.append(words[1:])
        elif "bike.cli" in words:
            found.append(words[words.index("bike.cli") + 1 :])
    return found


def examples_of(module: Path) -> list[list[str]]:
    """The examples in the help of a command's file."""
    text = re.sub(r"\\+\n\s*", " ", module.read_text(encoding="utf-8"))
    lines = (re.split(r'"""| > ', line)[0] for line in re.findall(r"^ *(bike .*)$", text, re.M))
    return [shlex.split(line, comments=True)[1:] for line in lines]


MODULES = sorted((ROOT / "bike" / "commands").rglob("[a-z]*.py"))
TYPED = [(page, words) for page in PAGES for words in commands_of(page)]
TYPED += [(module, words) for module in MODULES for words in examples_of(module)]


@pytest.mark.parametrize(("page", "words"), TYPED, ids=[f"{page.name}: bike {' '.join(w[:2])}" for page, w in TYPED])
def test_commands_and_options_exist(page: Path, words: list[str]) -> None:
    check_command(words, page.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not re.match(r"[a-z]+:", link):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    used = {words[1] for page in PAGES for words in shell_lines(page) if words[0] == "make" and len(words) > 1}
    assert used
    assert used <= targets


def test_overridden_parameters_exist() -> None:
    tree = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    overrides = [
        word
        for page in PAGES
        for words in shell_lines(page)
        if words[0] == "dvc"
        for option, word in pairwise(words)
        if option in ("-S", "--set-param")
    ]
    assert overrides
    for override in overrides:
        place: object = tree
        for part in override.split("=")[0].split("."):
            assert isinstance(place, dict), override
            assert part in place, override
            place = place[part]
    load_params(ROOT / "params.yaml")


def test_the_readme_is_one_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_the_citation_is_the_papers() -> None:
    citation = YAML(typ="safe", pure=True).load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    paper = citation["preferred-citation"]
    assert citation["cff-version"] == "1.2.0"
    assert [author["family-names"] for author in paper["authors"]] == ["Wu", "Wang", "Luo", "Wang", "Yang", "Ouyang"]
    assert paper["year"] == 2023
    assert paper["identifiers"][0]["value"] == "arXiv:2301.00182"


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    names = [re.match(r"[\w.-]+", line) for line in project["dependencies"]]
    unexplained = [name[0] for name in names if name and f"`{name[0]}`" not in text]
    assert unexplained == []
    assert [extra for extra in project["optional-dependencies"] if extra != "dev" and f"`{extra}`" not in text] == []


def test_the_design_has_a_line_for_every_file() -> None:
    room, listed = "", set()
    for line in (ROOT / "docs/design.md").read_text(encoding="utf-8").partition("## Every file")[2].splitlines():
        if found := re.match(r"`((?:bike|stages)/[\w/]*)`", line):
            room = found[1]
        elif found := re.match(r"\| `(\w+\.py)` \| \S", line):
            listed.add(room + found[1])
    files = {path.relative_to(ROOT).as_posix() for name in ("bike", "stages") for path in (ROOT / name).rglob("*.py")}
    assert listed == {file for file in files if not file.endswith("__init__.py")}


def test_the_design_has_a_line_for_everything_beside_the_code() -> None:
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8").partition("Beside the code:")[2]
    listed = [name for line in text.splitlines() for name in re.findall(r"`([\w./-]+)`", line.split(" | ")[0])]
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git repository, so nothing says which files are the project's")
    files = [name for name in done.stdout.splitlines() if not re.match(r"(bike|stages)/.*\.py$", name)]
    assert [
        name for name in files if not any(name == one or name.startswith(one.rstrip("/") + "/") for one in listed)
    ] == []
    assert [one for one in listed if not any(name.startswith(one) for name in files)] == [], "gone"


def public_names() -> list[tuple[str, list[str]]]:
    """Dotted names under "Public names", with the arguments that are promised."""
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8").partition("## Public names")[2].partition("\n## ")[0]
    return [(name, words.split(", ")) for name, words in re.findall(r"^\| `(bike\.[\w.]+)\((.*?)\)` \|", text, re.M)]


@pytest.mark.parametrize(
    ("name", "arguments"), public_names(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_public_names_take_what_the_design_says(name: str, arguments: list[str]) -> None:
    found = list(inspect.signature(pydoc.locate(name)).parameters)  # type: ignore[arg-type]
    assert [one for one in found if one != "self"][: len(arguments)] == arguments


def test_the_page_of_python_has_every_public_name() -> None:
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^::: (bike\.[\w.]+)", text, re.M))
    shown |= {
        f"{owner}.{name}"
        for owner, names in re.findall(r"^::: (\S+)\n    options: \{members: \[(.*?)\]", text, re.M)
        for name in names.split(", ")
    }
    assert {name for name, _ in public_names()} - shown == set()
    assert [name for name in sorted(shown) if pydoc.locate(name) is None] == []


def test_the_tests_that_the_docs_name_exist() -> None:
    text = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) == sum(line.startswith("| ") for line in text.partition("## Faults")[2].splitlines()) - 1
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"


def test_the_docs_name_every_command_that_has_faults() -> None:
    text = (ROOT / "docs/reliability.md").read_text(encoding="utf-8").partition("## Faults")[0]
    words = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert len(words) == len(COMMANDS | MERGES)
    for line in words:
        check_command([*line.removeprefix("bike ").split(), "--help"], "reliability.md")
