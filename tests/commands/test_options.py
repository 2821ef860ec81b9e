"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bike.commands.options import DeviceOption, JobsOption, WorkersOption, params_with
from bike.errors import ParamsError
from bike.params import Params, load_machine


def test_a_machine_states_device_and_workers_once_and_the_command_line_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In ``machine.yaml``, over that in variables, over both in options; as stages have it, which take no options."""
    app = typer.Typer()

    @app.command()
    def show(device: DeviceOption = None, workers: WorkersOption = 2, jobs: JobsOption = None) -> None:
        typer.echo(f"{device} {workers} {jobs}")

    def shown(*words: str) -> str:
        return CliRunner().invoke(app, list(words)).output.strip()

    monkeypatch.delenv("BIKE_DEVICE", raising=False)
    monkeypatch.delenv("BIKE_WORKERS", raising=False)
    monkeypatch.delenv("BIKE_JOBS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert shown() == "None 2 None"
    (tmp_path / "machine.yaml").write_text("device: cuda:2\nworkers: 7\njobs: 4\n")
    assert shown() == "cuda:2 7 4"
    assert shown("--workers", "2") == "cuda:2 2 4"
    monkeypatch.setenv("BIKE_DEVICE", "cuda:1")
    monkeypatch.setenv("BIKE_WORKERS", "0")
    assert shown() == "cuda:1 0 4"
    assert shown("--device", "cpu", "--workers", "5", "--jobs", "1") == "cpu 5 1"
    assert CliRunner().invoke(app, ["--workers", "-1"]).exit_code == 2
    (tmp_path / "machine.yaml").write_text("jobs: 0\n")
    with pytest.raises(ParamsError, match=r"^machine\.yaml: jobs"):
        CliRunner().invoke(app, [], catch_exceptions=False)
    (tmp_path / "machine.yaml").write_text("jobs: 1\n")
    monkeypatch.setenv("BIKE_WORKERS", "-1")
    with pytest.raises(ParamsError, match=r"BIKE_WORKERS: workers.*\(got '-1'\)"):
        load_machine()


def test_what_the_command_line_chooses_goes_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("fuse: {video_weight: 0.25}\npretrain: {steps: 3, seed: 4}\n")
    settings = params_with(file, None, "pretrain", steps=5, seed=None)
    assert (settings.pretrain.steps, settings.pretrain.seed, settings.fuse.video_weight) == (5, 4, 0.25)
    assert params_with(None, None, "pretrain") == Params()
    with pytest.raises(ParamsError, match=r"options: pretrain\.steps"):
        params_with(file, None, "pretrain", steps=0)
