"""What pyproject.toml declares and what the code imports are the same packages."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires

import pytest
from helpers.places import ROOT

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
    extras = [lines for extra, lines in PROJECT["optional-dependencies"].items() if extra != "dev"]
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
