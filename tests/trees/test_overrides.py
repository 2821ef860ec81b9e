"""``--set key=value``: YAML over the file's values, and validated as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.commands import commands_of, options_of, run_bike

from bike.cli import COMMANDS
from bike.errors import ParamsError
from bike.params import load_params
from bike.trees.overrides import merge, overrides


def test_merge_goes_into_sections_and_changes_nothing() -> None:
    base = {"a": {"x": 1, "y": 2}, "b": 3}
    assert merge(base, {"a": {"y": 5}, "c": 6}) == {"a": {"x": 1, "y": 5}, "b": 3, "c": 6}
    assert base == {"a": {"x": 1, "y": 2}, "b": 3}


def test_overrides_are_yaml() -> None:
    assert overrides(["train.lr=1e-5", "model.start_from=", "evaluate.views.4x3={clips: 4, crops: 3}"]) == {
        "train": {"lr": 1e-5},
        "model": {"start_from": None},
        "evaluate": {"views": {"4x3": {"clips": 4, "crops": 3}}},
    }


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("train.lr", "key=value is needed"),
        ("=1", "key=value is needed"),
        ("train.lr=[", "--set train.lr: not valid YAML"),
        ("train.lrr=1", r"--set: train\.lrr: unknown key\. Did you mean 'lr'"),
        ("train.lr=50", r"params.yaml, --set: train\.lr: less than 1 is allowed \(got 50\)"),
        ("train=5", "--set: train: "),
    ],
)
def test_a_bad_override_is_refused_as_in_the_file(word: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("train: {lr: 1e-3}\n")
    with pytest.raises(ParamsError, match=said):
        load_params(tmp_path / "params.yaml", [word])


def test_overrides_go_over_the_file_and_count_as_stated(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("train: {lr: 1e-3, epochs: 7}\n")
    params = load_params(tmp_path / "params.yaml", ["train.lr=1e-5", "model.frames=4"])
    assert (params.train.lr, params.train.epochs) == (1e-5, 7)
    assert params.model.model_fields_set == {"frames"}  # what a checkpoint's contract is held against


def test_every_command_that_reads_params_takes_overrides() -> None:
    found = {f"{name} {word}": options_of(command) for name in COMMANDS for word, command in commands_of(name).items()}
    assert len([name for name, options in found.items() if "--params" in options]) > 15
    assert [name for name, options in found.items() if "--params" in options and "--set" not in options] == []
    assert "--set" in found["init "]


def test_a_command_says_which_override_is_bad(tmp_path: Path) -> None:
    words = ["fuse", "video", "attributes", "--out", "fused", "--set", "fuse.video_weight=2"]
    done = run_bike(*words, cwd=tmp_path)
    assert done.returncode == 1
    assert "--set: fuse.video_weight: 1 or less is allowed (got 2)" in done.stderr
