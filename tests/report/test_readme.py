"""The README's table is the one that the metrics files on this machine give."""

from __future__ import annotations

import pytest
from helpers.places import ROOT

from bike.files import read_between
from bike.params import load_params
from bike.report.table import END, START, check_readme


def test_the_readme_has_a_place_for_the_table() -> None:
    assert read_between(ROOT / "README.md", START, END).count("\n| ") > 10


def test_the_readme_agrees_with_the_results() -> None:
    results = ROOT / "results"
    if not any(results.glob("fuse/*/metrics.json")):
        pytest.skip("no results here; `make demo` or `dvc pull` brings them")
    pairs = load_params(ROOT / "params.yaml").report.order_pairs
    check_readme(ROOT / "README.md", results, order_pairs=pairs)
