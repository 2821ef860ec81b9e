"""The stage: it waits for each result by name, and ends where one is missing."""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.places import ROOT
from helpers.results import write_data, write_results
from ruamel.yaml import YAML

from stages import run
from stages.report import main

STAGES: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())["stages"]


def outputs() -> set[str]:
    """Every output of the pipeline below results/, the matrices written out."""
    found = set()
    for stage in STAGES.values():
        matrix = stage.get("matrix", {})
        for values in itertools.product(*matrix.values()):
            items = dict(zip(matrix, values, strict=True))
            found |= {re.sub(r"\$\{item\.(\w+)\}", lambda match: items[match[1]], out) for out in stage["outs"]}  # noqa: B023
    return {out for out in found if out.startswith("results/")}


def test_the_stage_depends_on_each_result_and_expects_it() -> None:
    """DVC fetches what a dep names, not what lies below its parent folder."""
    words = shlex.split(STAGES["report"]["cmd"])
    expected = words[words.index("--expected") + 1].split()
    deps = [dep.removeprefix("results/") for dep in STAGES["report"]["deps"] if dep.startswith("results/")]
    assert expected == deps
    assert {f"results/{name}" for name in expected} == outputs()


def test_a_missing_result_ends_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lists, manifest = write_data(tmp_path)
    words = [write_results(tmp_path / "results"), lists, manifest, "none", "none", tmp_path / "out"]
    options = ["--expected", "attributes fuse/1x1", "--params", tmp_path / "params.yaml"]
    (tmp_path / "params.yaml").write_text("report: {clips: 0}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["report", *map(str, [*words, *options])])
    main()
    shutil.rmtree(tmp_path / "results" / "fuse")
    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert "results: no metrics.json in fuse/1x1. " in error
    assert error.count("\n") == 1
