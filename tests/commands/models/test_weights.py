"""``bike weights``: list, fetch, inspect, convert."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
from helpers.contracts import save_model
from helpers.models import VIT, same_weights, save_archive, small
from typer.testing import CliRunner

from bike.commands.models.weights import app
from bike.errors import WeightsError
from bike.model.encoders import Encoder
from bike.model.heads import VideoHead
from bike.model.weights import load_clip, save_released


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BIKE_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return small()


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_list(folder: Path) -> None:
    (folder / "ViT-B-16.pt").write_bytes(b"")
    lines = run("list").splitlines()
    assert lines[0].split() == [
        "ViT-B/32",
        "-",
        "ViT-B-32.pt",
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    ]
    assert lines[1].split()[:3] == ["ViT-B/16", "here", "ViT-B-16.pt"]
    assert len(lines) == 10
    assert lines[-1] == f"folder: {folder}"


def test_fetch_of_an_unknown_name(folder: Path) -> None:
    with pytest.raises(WeightsError, match="RN51: not an official name. Did you mean 'RN50'"):
        run("fetch", "RN51")


def test_inspect_and_convert_by_official_name(folder: Path, tmp_path: Path, encoder: Encoder) -> None:
    save_archive(folder / "ViT-B-32.pt", encoder)
    text = run("inspect", "ViT-B/32")
    assert "torchscript" in text
    assert f"{VIT.embed_dim} wide" in text
    assert text.endswith("problems      1\n  can't read CLIP's tokens: 50 words in its vocabulary; CLIP's has 49408\n")
    assert run("convert", "ViT-B/32", tmp_path / "out.safetensors").startswith(f"{tmp_path}/out.safetensors: ")
    assert same_weights(load_clip(tmp_path / "out.safetensors"), encoder)


def test_inspect_and_convert_a_released_checkpoint(tmp_path: Path, encoder: Encoder) -> None:
    save_released(tmp_path / "best.pt", encoder, VideoHead(24, 2), 12)
    assert "head          VideoHead (transf), epoch 12" in run("inspect", tmp_path / "best.pt")
    out = tmp_path / "head.safetensors"
    run("convert", tmp_path / "best.pt", out, "--part", "head", "--precision", "bf16")
    text = run("inspect", out)
    assert "problems      1" in text
    assert "not the weights of a CLIP" in text
    assert "bfloat16" in text


def test_inspect_says_what_a_checkpoint_was_trained_for(tmp_path: Path) -> None:
    path = save_model(tmp_path / "model.pt", classes=["a\nb", *"cdefg"], training={"lr": 0.001})
    lines = [" ".join(line.split()) for line in run("inspect", path).splitlines()]
    start = lines.index("trained for")
    assert lines[start + 1 :] == [
        "kind video",
        f"version {importlib.metadata.version('bike-video')}",
        "classes 6: a b; c; d; e; f; and 1 more",
        "prompt This is a video about {}",
        "input size 16",
        "frames 3",
        "temporal transf",
        "interaction vcs",
        "training lr 0.001",
        "problems none",
    ]


def test_help_has_examples() -> None:
    assert "bike weights fetch ViT-L/14 --mirror" in run("fetch", "--help")
    for name in ("list", "fetch", "inspect", "convert"):
        assert name in run("--help")
