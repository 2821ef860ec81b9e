"""``bike train``: what the machine decides reaches the run, from options and from variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bike.commands.train import train
from bike.runtime.checkpoint import Place
from bike.train import run_attributes, run_video
from bike.train.outcome import Trained


def test_device_workers_and_state_reach_either_branch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = []

    def note(_: object, **options: Any) -> Trained:
        places.append(options["place"])
        return Trained(options["out"], [(0, {"train/loss": 0.5})])

    monkeypatch.setattr(run_video, "train_video", note)
    monkeypatch.setattr(run_attributes, "train_attributes", note)
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(train)
    Path("train.csv").touch()
    words = ["--train", "train.csv", "--labels", "labels.csv", "--out", "models/x.pt"]
    found = CliRunner().invoke(app, [*words, "--shards", "s"], env={"BIKE_DEVICE": "cuda:1", "BIKE_WORKERS": "5"})
    assert (found.exit_code, found.output) == (0, "models/x.pt: loss 0.5\n"), found.exception
    found = CliRunner().invoke(
        app, [*words, "--attributes", "a.json", "--device", "cpu", "--live", "curves", "--fresh"]
    )
    assert found.exit_code == 0, found.output
    assert places == [
        Place(device="cuda:1", workers=5),
        Place(device="cpu", workers=2, live_dir=Path("curves"), fresh=True),
    ]
    found = CliRunner().invoke(app, [*words, "--workers", "-1"])
    assert found.exit_code == 2
