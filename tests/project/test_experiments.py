"""Experiments as the documents say: what is queued starts from the commit and leaves no trace; tables are readable."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.places import ROOT
from helpers.projects import commit, git, run_in
from ruamel.yaml import YAML

from bike.params import Params, parse_params, read_tree
from bike.project.protocol import plan
from bike.project.render import params_tree, render
from bike.zoo import load_zoo

QUEUE = ("dvc", "exp", "run", "--queue", "--copy-paths", "machine.yaml", "-S")
PIPELINE = """
stages:
  train:
    cmd: {python} train.py
    deps: [train.py]
    params: [lr, epochs]
    metrics: [metrics.json: {{cache: false}}]
"""
TRAIN = """
import json, pathlib
pathlib.Path("machine.yaml").read_text()
lines = pathlib.Path("params.yaml").read_text().splitlines()
pathlib.Path("metrics.json").write_text(json.dumps({k: float(v) for k, v in (line.split(": ") for line in lines)}))
"""


def columns_of(pipeline: dict[str, Any]) -> set[str]:
    """The columns of files that `dvc exp show` makes for a dvc.yaml, where templates stand for some path."""
    return {re.sub(r"\$\{.*?\}", "folder/file", dep) for stage in pipeline["stages"].values() for dep in stage["deps"]}


def dropped(text: str) -> re.Pattern[str]:
    """The pattern that a document gives to ``dvc exp show --drop``."""
    (pattern,) = re.findall(r"exp show --only-changed --drop '(.*)'", text)
    return re.compile(pattern.replace("$$", "$"))


def parameters(tree: dict[str, Any], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in tree.items():
        found |= parameters(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}"}
    return found


NUMBERS = {*parameters(Params().model_dump()), "top1", "top1_zeroshot", "half_top1_mean", "map", "videos", "mean_class"}


@pytest.mark.parametrize("row", load_zoo())
def test_a_projects_table_of_experiments_has_no_columns_of_files_and_all_numbers(row: str) -> None:
    protocol, tree, _ = plan(row)
    files = render(protocol, params_tree(protocol, tree), parse_params(tree, row))
    drop = dropped(files["README.md"])
    assert {
        name for name in columns_of(YAML(typ="safe", pure=True).load(files["dvc.yaml"])) if not drop.match(name)
    } == set()
    assert {name for name in NUMBERS if drop.match(name)} == set()


def test_so_has_that_of_the_demo() -> None:
    drop = dropped((ROOT / "Makefile").read_text(encoding="utf-8"))
    assert {name for name in columns_of(read_tree(ROOT / "dvc.yaml")) if not drop.match(name)} == set()
    assert {name for name in NUMBERS if drop.match(name)} == set()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_is_queued_starts_from_the_commit_and_changes_nothing_here(tmp_path: Path) -> None:
    files = {"dvc.yaml": PIPELINE.format(python=sys.executable), "train.py": TRAIN, "params.yaml": "lr: 1\nepochs: 1\n"}
    files |= {".gitignore": "/machine.yaml\n", "machine.yaml": "videos: /videos\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    git(tmp_path, "init", "--quiet")
    for name in ("user.name", "user.email"):  # the worker commits, too
        git(tmp_path, "config", name, "test@example.org")
    run_in(tmp_path, "dvc", "init", "--quiet")
    run_in(tmp_path, "dvc", "repro", "--quiet")
    commit(tmp_path)
    for change in ("lr=2", "epochs=3"):
        run_in(tmp_path, *QUEUE, change)
    run_in(tmp_path, "dvc", "queue", "start")
    while "Queued" in (said := run_in(tmp_path, "dvc", "queue", "status")) or "Running" in said:
        time.sleep(1)  # the worker is a process of its own; the test's time limit ends a wait for nothing
    assert said.count("Success") == 2
    assert git(tmp_path, "status", "--short") == ""
    assert (tmp_path / "params.yaml").read_text(encoding="utf-8") == files["params.yaml"]
    (_, *_, baseline) = json.loads(run_in(tmp_path, "dvc", "exp", "show", "--json"))
    metrics = [found["revs"][0]["data"]["metrics"]["metrics.json"]["data"] for found in baseline["experiments"]]
    assert sorted((found["lr"], found["epochs"]) for found in metrics) == [(1, 3), (2, 1)]
