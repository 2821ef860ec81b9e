"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from helpers.commands import commands_of, options_of, run_bike
from helpers.videos import make_video
from typer.testing import CliRunner

from bike.cli import COMMANDS
from bike.commands.options import DeviceOption, JobsOption, WorkersOption, params_with
from bike.errors import ParamsError
from bike.files import read_json
from bike.params import Params, load_machine
from bike.records import read_manifest


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


def every_command() -> list[tuple[str, Any]]:
    """Words -> command, for each command of the app."""
    return [(f"{name} {word}".strip(), command) for name in COMMANDS for word, command in commands_of(name).items()]


def has_parameters(words: str, command: Any) -> bool:
    """Whether a command reads a params file, or has options for the section of its name."""
    return "--params" in options_of(command) or words.split()[0].replace("-", "_") in Params.model_fields


@pytest.mark.parametrize(
    ("words", "command"), [pair for pair in every_command() if has_parameters(*pair)], ids=lambda item: str(item)[:30]
)
def test_every_command_with_parameters_takes_them_one_by_one(
    words: str, command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And refuses them as it refuses those of a file."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("")
    given = {
        "train.lrr=1": "train.lrr: unknown key. Did you mean 'lr'",
        "train.lr=50": "train.lr: less than 1 is allowed",
    }
    given["train.lr"] = "key=value is needed"
    for setting, said in given.items():
        filled = []  # a value for each argument and option that must be there
        for item in (item for item in command.params if item.required or item.name == "bare"):  # a checkpoint
            filled += [*(item.opts[-1:] if item.param_type_name == "option" else ()), "3"]
        with pytest.raises(ParamsError, match=said):
            command.main([*filled, "--set", setting], standalone_mode=False)


def test_init_takes_them_too() -> None:
    assert "--set" in options_of(commands_of("init")[""])


def test_a_setting_is_what_a_command_runs_with_and_an_option_goes_over_it(tmp_path: Path) -> None:
    make_video(tmp_path / "v/a.mp4", 12, width=80, height=64)
    shown = run_bike(
        "extract", "v", "f", "--set", "extract.frames_per_video=4", "--set", "extract.short_side=16", cwd=tmp_path
    )
    assert "1 videos, 4 frames" in shown.stdout, shown.stderr
    (record,) = read_manifest(tmp_path / "f/manifest.csv")
    assert record.height == 16
    words = ("shard", "f/manifest.csv", "s", "--set", "shard.frames_per_video=1")
    assert run_bike(*words, cwd=tmp_path).returncode == 0
    assert read_json(tmp_path / "s/manifest.json")["frames_per_video"] == 1
    assert run_bike(*words, "--frames-per-video", "2", "--replace", cwd=tmp_path).returncode == 0
    assert read_json(tmp_path / "s/manifest.json")["frames_per_video"] == 2


@pytest.mark.parametrize(("words", "command"), every_command(), ids=lambda item: str(item)[:30])
def test_arguments_are_named_in_capitals_and_what_is_written_is_out(words: str, command: Any) -> None:
    names = [p.metavar for p in command.params if p.param_type_name == "argument"]
    assert [name for name in names if name is None or name != name.upper()] == []
    assert "DST" not in names
    if words.split()[0] in ("extract", "shard", "attributes", "pretrain", "demo-data"):
        assert names[-1] == "OUT"


def test_eval_takes_its_checkpoint_as_other_commands_do_and_bare(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\n")
    rest = ["--list", "list.csv", "--out", "out"]
    for words, said in (
        (["--checkpoint", "a.pt"], "list.csv: no labels.csv beside it. "),
        (["a.pt"], "list.csv: no labels.csv beside it. "),
        ([], "--checkpoint: missing; name one model."),
        (["a.pt", "--checkpoint", "b.pt"], "--checkpoint: two are given; name one model."),
    ):
        done = run_bike("eval", *words, *rest, cwd=tmp_path)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    done = run_bike("slurm", "eval", *rest, "--parts", "2", cwd=tmp_path)
    assert done.stderr == "Error: --checkpoint: missing; name one model.\n"
