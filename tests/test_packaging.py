"""What pyproject.toml declares and what the code imports are the same packages."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, packages_distributions, requires
from pathlib import Path

import pytest
from helpers.places import ROOT
from helpers.projects import run_in
from helpers.results import write_evaluation
from helpers.wheel import unpacked_wheel

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# Declared, but not imported: a pin that spares pip a long search.
NOT_IMPORTED = {"aiobotocore"}
# Imported, but not declared: what a declared package always brings, to catch its errors or hand it its types.
BROUGHT = {"botocore": "boto3", "markupsafe": "jinja2", "scmrepo": "dvclive"}


def normal(name: str) -> str:
    """The name of a distribution as the packaging standards compare it: ``ruamel-yaml`` of ``ruamel.yaml>=0.18``."""
    found = re.match(r"[\w.-]+", name)
    assert found, name
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def declared() -> set[str]:
    tools = ("dev", "docs")  # of tests, and of the site
    extras = [lines for extra, lines in PROJECT["optional-dependencies"].items() if extra not in tools]
    return {normal(line) for lines in (PROJECT["dependencies"], *extras) for line in lines}


def imported() -> set[str]:
    """Distributions that some module of ``bike`` or ``stages`` imports, anywhere in it."""
    modules = set()
    for path in (path for room in ("bike", "stages") for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.split(".")[0])
    owners = packages_distributions()
    outside = modules - sys.stdlib_module_names - {"bike", "stages"}
    # An extra that is not installed has no owner; its module has its name.
    return {normal(owner) for module in outside for owner in owners.get(module, [module])}


def test_the_wheel_has_every_file_of_the_package_and_none_that_was_made_here(tmp_path: Path) -> None:
    """Code and what it opens: templates, presets, stages, class names, lexicon, zoo."""
    places = {"bike": "bike", "stages": "bike/shipped/stages", "lists": "bike/shipped/lists", "configs": "bike/configs"}
    words = ("git", "ls-files", "--cached", "--others", "--exclude-standard")
    if not (ROOT / ".git").exists():
        pytest.skip("git does not say here which files are the project's")
    names = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in names:
        (tmp_path / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "checkout" / name)
    (tmp_path / "checkout/lists/demo").mkdir()  # as `dvc repro` makes it; ignored by git
    (tmp_path / "checkout/lists/demo/train.csv").touch()
    site = unpacked_wheel(tmp_path / "site", tmp_path / "checkout")
    parts = [name.partition("/") for name in names]
    wanted = {f"{places[top]}/{rest}" for top, _, rest in parts if top in places and top != "configs"}
    found = {path.relative_to(site).as_posix() for path in (site / "bike").rglob("*") if path.is_file()}
    assert found == wanted | {"bike/configs/zoo.yaml"}


def test_the_wheel_runs_without_a_checkout(tmp_path: Path) -> None:
    """What lies beside the code in a checkout comes along: zoo, presets, class names, stages, templates."""
    site, here = unpacked_wheel(tmp_path / "site"), tmp_path / "here"
    write_evaluation(here / "results/video-none-dp/1x1")

    def bike(*words: str) -> str:
        return run_in(here, "bike.cli", *words, PYTHONPATH=str(site))

    assert "Usage: " in bike("--help")
    assert "ucf101-vitl14-16f" in bike("zoo", "show", "ucf101-vitl14-16f")
    bike("init", "ucf101-vitl14-16f", "project")
    bike("report", "results", "--out", "report")
    assert (here / "report/index.html").is_file()
    assert "--views" in run_in(here / "project", "bike.project.stage", "evaluate", "--help", PYTHONPATH=str(site))
    version = "import bike.zoo, importlib.metadata as m; print(bike.zoo.__file__, m.version('bike-video'))"
    done = subprocess.run(
        [sys.executable, "-c", version],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [str(site / "bike/zoo.py"), PROJECT["version"]]


def test_every_declared_package_is_imported() -> None:
    assert sorted(declared() - imported() - NOT_IMPORTED) == []


def test_every_imported_package_is_declared() -> None:
    assert sorted(imported() - declared() - BROUGHT.keys()) == []


def test_exceptions_are_needed() -> None:
    assert declared() >= NOT_IMPORTED
    assert not NOT_IMPORTED & imported()
    assert imported() >= BROUGHT.keys()


@pytest.mark.parametrize(("package", "owner"), BROUGHT.items())
def test_what_comes_with_a_declared_package_is_required_by_it(package: str, owner: str) -> None:
    pytest.importorskip(owner)
    assert owner in declared()
    assert package in {normal(line) for line in requires(owner) or []}


def test_the_pins_are_for_every_python_3_11() -> None:
    """Debian 12 has 3.11.2; a package may ask for a later one, where pip then finds no such version."""
    from packaging.specifiers import SpecifierSet

    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for name in ("constraints.txt", "constraints-results.txt")
        for line in (ROOT / name).read_text().splitlines()
        if "==" in line
    }
    wanted = {
        found.metadata["Name"].lower().replace("_", "-"): found.metadata.get("Requires-Python")
        for found in distributions()
    }
    assert {name: wanted[name] for name in pinned & wanted.keys() if wanted[name]
            and not SpecifierSet(wanted[name]).contains("3.11.2")} == {}  # fmt: skip
    assert len(pinned & wanted.keys()) > 50
