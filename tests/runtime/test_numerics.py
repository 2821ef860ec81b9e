"""Portable numerics: chosen before torch loads, in every stage and command that uses it, and no roots through MKL."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.fit import ALONE, gradients_of, tiny_video_branch
from helpers.places import ROOT
from ruamel.yaml import YAML
from torch.utils._python_dispatch import TorchDispatchMode

from bike.errors import BikeError, ParamsError
from bike.model.layers.linear import _mkl_is_slow_here
from bike.params import Pretrain, parse_params
from bike.pretrain.run import pretrain_clip
from bike.runtime import numerics
from bike.runtime.numerics import PORTABLE, choose_numerics, chosen_numerics, has_avx2
from bike.train.branches import trained_parameters
from bike.train.optim import build_optimizer
from bike.train.step import StepOptions

STAGES: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())["stages"]
COMMANDS = (
    "pretrain a.pt",
    "attributes a.txt a.json --list l --shards s",
    "train --train l --labels l --shards s --out m",
    "eval m --list l --out o",
    "zeroshot --list l --shards s --out o",
    "fuse v a --out o",
    "predict a.mp4 --weights w",
)
ASKED = """
import importlib, json, sys
import bike.runtime.numerics

class Asked(Exception):
    pass

def choose(numerics):
    assert numerics == "portable", numerics
    assert "torch" not in sys.modules, "torch is loaded"
    raise Asked

bike.runtime.numerics.choose_numerics = choose
from bike.cli import COMMANDS, find_command
import typer
for words in json.loads(sys.argv[1]):
    try:
        if words[0] == "-m":
            sys.argv = words[1:]
            importlib.import_module(words[1]).main()
        else:
            app = typer.Typer()
            app.command()(find_command(words[0]))
            app(words[1:], standalone_mode=False)
    except Asked:
        continue
    raise SystemExit(f"{words}: chose nothing")
"""


def test_stages_and_commands_choose_before_torch_loads(tmp_path: Path) -> None:
    """What a stage is must be known from its parameters: those that declare numerics are those that import torch."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(re.sub(r"(?m)^numerics: .*", "numerics: portable", text), encoding="utf-8")
    stages = [["-m", *shlex.split(stage["cmd"])[2:]] for stage in STAGES.values() if "numerics" in stage["params"]]
    words = json.dumps([*stages, *([*shlex.split(words), "--params", "params.yaml"] for words in COMMANDS)])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ASKED, words]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    torch_stages = {name for name, stage in STAGES.items() if {"bike/model", "bike/evaluate"} & set(stage["deps"])}
    assert torch_stages == {name for name, stage in STAGES.items() if "numerics" in stage["params"]}


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As in a process that has not loaded torch, on an x86-64 processor."""
    for name in (*PORTABLE, "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # put back afterwards, whatever is set meanwhile
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(numerics, "has_avx2", lambda: True)
    return monkeypatch


def test_portable_sets_the_variables_and_fast_none(fresh: pytest.MonkeyPatch) -> None:
    choose_numerics("fast")
    assert chosen_numerics() == "fast"
    choose_numerics("portable")
    assert {name: os.environ[name] for name in PORTABLE} == PORTABLE
    assert chosen_numerics() == "portable"
    fresh.setitem(sys.modules, "torch", torch)
    choose_numerics("portable")  # nothing is left to set
    assert _mkl_is_slow_here() == hasattr(torch.ops.mkldnn, "_linear_pointwise")


def test_portable_is_refused_where_it_can_not_hold(fresh: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    fresh.setattr(numerics, "has_avx2", lambda: False)
    with pytest.raises(BikeError, match="portable needs AVX2"):
        choose_numerics("portable")
    fresh.setitem(sys.modules, "torch", torch)
    with pytest.raises(BikeError, match="too late for portable. Start the process with ATEN_CPU_CAPABILITY=avx2 "):
        choose_numerics("portable")
    fresh.setattr(platform, "machine", lambda: "aarch64")
    choose_numerics("portable")
    assert "the last digits of aarch64 are its own" in caplog.text
    assert chosen_numerics() == "fast"


def test_threads_that_wait_do_not_spin(fresh: pytest.MonkeyPatch) -> None:
    """Whatever the numerics; a choice of the user's stands."""
    choose_numerics("fast")
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    fresh.setenv("OMP_WAIT_POLICY", "ACTIVE")
    choose_numerics("portable")
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    fresh.delenv("OMP_WAIT_POLICY")
    fresh.setenv("GOMP_SPINCOUNT", "1000")
    choose_numerics("fast")
    assert "OMP_WAIT_POLICY" not in os.environ


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [("x86_64", "fma avx2 bmi2", True), ("x86_64", "sse2 avx", False), ("aarch64", "", False)],
)
def test_the_processor_is_asked_for_avx2(
    machine: str, flags: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: f"flags : {flags} end")
    assert has_avx2() is expected


def test_portable_needs_a_number_of_threads_for_each_stage() -> None:
    stated = {name: {"threads": 1} for name in ("attributes", "train", "train_attributes", "evaluate")}
    assert parse_params({"numerics": "portable", **stated}, "p").numerics == "portable"
    assert parse_params({}, "p").numerics == "fast"
    del stated["train"], stated["evaluate"]
    with pytest.raises(
        ParamsError, match=r"portable needs a number of threads; state train\.threads, evaluate\.threads"
    ):
        parse_params({"numerics": "portable", **stated}, "p")


class Called(TorchDispatchMode):
    """Collects the names of torch's operators that run under it, gradients included."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def _pretrain(folder: Path) -> None:
    sizes = {"embed_dim": 32, "resolution": 16, "vision_width": 64, "vision_layers": 1, "text_layers": 1}
    pretrain_clip(folder / "clip.safetensors", Pretrain(**sizes, num_images=16, steps=2, batch_size=8, threads=1))


def _train(_: Path) -> None:
    for kind in ("video", "attributes"):
        gradients_of(kind, 4, ALONE, StepOptions())
    branch = tiny_video_branch()
    optimizer = build_optimizer(branch.encoder, branch.head, lr=1e-3)
    for parameter in trained_parameters(branch):
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()


@pytest.mark.parametrize("work", [_pretrain, _train])
def test_training_takes_no_roots_through_mkl(work: Callable[[Path], None], tmp_path: Path) -> None:
    """MKL's vector library rounds a sixth of its square roots by the processor; fused optimisers don't use it."""
    with Called() as called:
        work(tmp_path)
    assert "_fused_adamw_" in called.names
    assert not {name for name in called.names if "sqrt" in name}
