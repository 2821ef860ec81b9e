"""The comparison of processors runs every stage of dvc.yaml, and names what differs."""

from __future__ import annotations

import importlib.util
import shlex

from helpers.places import ROOT
from ruamel.yaml import YAML

_SPEC = importlib.util.spec_from_file_location("cross_cpu", ROOT / ".ci" / "cross_cpu.py")
assert _SPEC is not None
assert _SPEC.loader is not None
cross_cpu = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(cross_cpu)


def test_every_stage_is_run_each_model_on_its_own() -> None:
    stages = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    commands = cross_cpu.demo_commands()
    assert {words[0] for words in commands} == {shlex.split(stage["cmd"])[2] for stage in stages.values()}
    assert not [word for words in commands for word in words if "${" in word]
    assert cross_cpu.one_by_one(["s", "m/{heads}.pt", "--heads", "a b", "x"]) == [
        ["s", "m/{heads}.pt", "--heads", "a", "x"],
        ["s", "m/{heads}.pt", "--heads", "b", "x"],
    ]
    for words in cross_cpu.for_two_processes(commands):
        assert [word for word in words if word.startswith("two/")]
        assert not [word for word in words if word.startswith(("models/", "results/"))]


def test_what_differs_or_is_absent_is_named() -> None:
    found = {"here": {"a": "1", "b": "2", "c": "3"}, "Haswell": {"a": "1", "b": "9"}}
    assert cross_cpu.differing(found) == ["b", "c"]
    assert cross_cpu.table(found).splitlines()[1:] == [
        "a 1          1          equal",
        "b 2          9          differs",
        "c 3          absent     differs",
        "3 outputs on 2 processors, 2 differ",
    ]
