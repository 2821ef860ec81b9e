"""Learning rates and parameter groups."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bike.params import Optimisation
from bike.train.optim import PublishedUpdater, build_optimizer, lr_factor, scheduled_step


def updater_of(steps_per_epoch: int, **values: object) -> PublishedUpdater:
    parts = {"encoder": nn.Linear(2, 2), "head": nn.Linear(2, 2)}
    return PublishedUpdater(parts, Optimisation(**values), steps_per_epoch, torch.device("cpu"))  # type: ignore[arg-type]


def test_rates_equal_the_published_ones(golden: Path) -> None:
    schedule = json.loads((golden / "lr_schedule.json").read_text())
    updater = updater_of(schedule["iters_per_epoch"], epochs=schedule["epochs"], warmup_epochs=schedule["warmup"])
    assert len(schedule["rows"]) == 120
    for epoch, step, encoder_lr, head_lr in schedule["rows"]:
        updater.set_rates(epoch, step)
        wanted = {"encoder": pytest.approx(encoder_lr, rel=1e-9), "head": pytest.approx(head_lr, rel=1e-9)}
        assert {group["name"]: group["lr"] for group in updater.optimizer.param_groups} == wanted
        assert updater.values(step + 1) == {f"train/lr_{name}": rate for name, rate in wanted.items()}


def test_factor_by_hand() -> None:
    assert lr_factor(0, 5, 30) == 0
    assert lr_factor(2.5, 5, 30) == 0.5
    assert lr_factor(5, 5, 30) == 1
    assert lr_factor(17.5, 5, 30) == pytest.approx(0.5)
    assert lr_factor(30, 5, 30) == 0
    assert lr_factor(31, 5, 30) == 0
    assert lr_factor(0, 0, 30) == 1
    assert lr_factor(2, 5, 4) == 0.4  # a warm-up longer than the training
    for bad in ((-1, 5, 30), (0, -1, 30), (0, 0, 0)):
        with pytest.raises(ValueError, match="negative"):
            lr_factor(*bad)


@settings(deadline=None)
@given(epochs=st.floats(0.1, 100), warmup=st.floats(0, 20), a=st.floats(0, 100), b=st.floats(0, 100))
def test_factor_rises_then_falls(epochs: float, warmup: float, a: float, b: float) -> None:
    early, late = sorted((a, b))
    first, second = lr_factor(early, warmup, epochs), lr_factor(late, warmup, epochs)
    assert 0 <= first <= 1
    if late < warmup:
        assert first <= second
    if early >= warmup:
        assert first >= second


def test_rate_changes_on_the_published_steps() -> None:
    changes = [step for step in range(45) if scheduled_step(step) == step]
    assert changes == [0, 9, 19, 29, 39]
    assert [scheduled_step(step) for step in (8, 10, 18, 24)] == [0, 9, 9, 19]
    assert [scheduled_step(step, 1) for step in range(5)] == [0, 1, 2, 3, 4]
    assert [scheduled_step(step, 2) for step in range(6)] == [0, 1, 1, 3, 3, 5]
    for bad in ((-1, 10), (0, 0)):
        with pytest.raises(ValueError, match="at least"):
            scheduled_step(*bad)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Linear(3, 3)
        self.norm = nn.LayerNorm(3)
        self.text = nn.Linear(3, 3).requires_grad_(False)
        self.logit_scale = nn.Parameter(torch.ones(()))


def test_groups_hold_every_trainable_parameter_once() -> None:
    encoder, head = Encoder(), nn.Linear(3, 2)
    optimizer = build_optimizer(encoder, head, lr=1e-3, clip_ratio=0.1, weight_decay=0.2)
    first, second = optimizer.param_groups
    assert (first["name"], second["name"]) == ("encoder", "head")
    assert (first["lr"], second["lr"]) == (pytest.approx(1e-4), 1e-3)
    assert first["weight_decay"] == second["weight_decay"] == 0.2  # biases, norms and scales, too
    assert {id(p) for p in first["params"]} == {id(p) for p in encoder.parameters() if p.requires_grad}
    assert {id(p) for p in second["params"]} == {id(p) for p in head.parameters()}
    assert (first["betas"], first["eps"]) == ((0.9, 0.999), 1e-8)
    frozen = nn.Linear(2, 2).requires_grad_(False)
    for parts, name in (((head, nn.Identity()), "encoder"), ((frozen, head), "head")):
        assert [group["name"] for group in build_optimizer(*parts, lr=1e-3).param_groups] == [name]
    with pytest.raises(ValueError, match="frozen"):
        build_optimizer(frozen, nn.Identity(), lr=1e-3)


def test_rates_survive_saving_and_depend_on_the_step_alone() -> None:
    times = {"epochs": 4, "warmup_epochs": 1.0, "lr_every_steps": 10}
    saved, fresh = updater_of(25, lr=1e-3, **times), updater_of(25, lr=0.5, **times)
    saved.set_rates(3, 20)
    fresh.optimizer.load_state_dict(saved.optimizer.state_dict())
    for updater in (saved, fresh):
        updater.set_rates(2, 13)
    assert fresh.values(14) == saved.values(14)
    assert fresh.optimizer.param_groups[1]["base_lr"] == 1e-3
    for step in (-1, 25):
        with pytest.raises(ValueError, match="from 0 to 24"):
            fresh.set_rates(0, step)
