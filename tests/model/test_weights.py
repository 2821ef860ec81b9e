"""Weight files in and out: what is no CLIP, and released checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.models import VIT, half, same_encoder, same_weights
from safetensors.torch import save_file

from bike.errors import WeightsError
from bike.model.encoders import Encoder, build
from bike.model.heads import AttributeHead, VideoHead
from bike.model.weights import load_clip, load_released, save_released, save_safetensors


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"conv1.weight": torch.zeros(3), "text_projektion": torch.zeros(2, 2)}, "visual.conv1.weight is missing"),
        ({"epoch": 3}, "holds no tensors by name"),
        ([torch.zeros(3)], r"holds no tensors by name \(got list\)"),
    ],
)
def test_not_a_clip(tmp_path: Path, content: object, said: str) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match=rf"x\.pt: .*{said}"):
        load_clip(tmp_path / "x.pt")


def test_widths_that_no_heads_divide(tmp_path: Path, encoder: Encoder) -> None:
    """Towers of 3 heads and 200 channels, and a temporal head of 3 heads and 25 channels."""
    state = {**encoder.state_dict(), "text_projection": torch.zeros(200, 24)}
    save_file(state, tmp_path / "clip.safetensors")
    with pytest.raises(
        WeightsError, match=r"clip\.safetensors: not the weights of a CLIP: width: 200 is not a multiple"
    ):
        load_clip(tmp_path / "clip.safetensors")
    odd = build(replace(VIT, embed_dim=25, text_width=192))
    save_released(tmp_path / "odd.pt", odd, VideoHead(25, 1), 1)
    with pytest.raises(WeightsError, match=r"odd\.pt: not the weights of a CLIP: width: 25 is not a multiple"):
        load_released(tmp_path / "odd.pt")


@pytest.mark.parametrize(
    "head",
    [VideoHead(24, 2), VideoHead(24, 2, interaction="dp"), VideoHead(24, 2, "none"), AttributeHead(24)],
    ids=["transf-vcs", "transf-dp", "none-vcs", "attributes"],
)
def test_released_checkpoints_go_round(tmp_path: Path, encoder: Encoder, head: VideoHead | AttributeHead) -> None:
    save_released(tmp_path / "best.pt", encoder, head, 17)
    loaded, back, epoch = load_released(tmp_path / "best.pt")
    assert epoch == 17
    assert same_encoder(loaded, encoder)
    assert type(back) is type(head)
    assert not back.training
    assert same_weights(back, head)
    if isinstance(head, VideoHead) and isinstance(back, VideoHead):
        assert (back.temporal, back.interaction) == (head.temporal, head.interaction)
    assert same_encoder(load_clip(tmp_path / "best.pt"), encoder)
    plain = torch.load(tmp_path / "best.pt", weights_only=True)
    names = ["epoch", "model_state_dict", "fusion_model_state_dict", "optimizer_state_dict"]
    assert [key for key in plain if key != "interaction"] == names


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_released_checkpoint_of_old_torch(tmp_path: Path, encoder: Encoder, legacy: bool) -> None:
    head = VideoHead(24, 2)
    optimizer = torch.optim.AdamW(head.parameters())
    sum(parameter.sum() for parameter in head.parameters()).backward()  # type: ignore[union-attr]
    optimizer.step()
    checkpoint = {
        "epoch": 29,
        "model_state_dict": {f"module.{key}": value for key, value in half(encoder.state_dict()).items()},
        "fusion_model_state_dict": {f"module.{key}": value for key, value in head.state_dict().items()},
        "optimizer_state_dict": optimizer.state_dict(),
    }
    torch.save(checkpoint, tmp_path / "old.pt", _use_new_zipfile_serialization=not legacy)
    loaded, back, epoch = load_released(tmp_path / "old.pt")
    assert epoch == 29
    assert same_weights(loaded, encoder)
    assert same_weights(back, head)
    assert isinstance(back, VideoHead)
    assert back.interaction == "vcs"
    assert back.transformer.resblocks[0].attn.num_heads == encoder.text_heads


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"fusion_model_state_dict": None},
            r"fusion_model_state_dict is not a state dict \(got epoch; model_state_dict",
        ),
        ({"model_state_dict": {"a": 3}}, "model_state_dict is not a state dict"),
        ({"fusion_model_state_dict": {"lstm.weight": torch.zeros(2)}}, "unexpected lstm.weight"),
        (
            {"fusion_model_state_dict": {"query_fc.0.weight": torch.zeros(24, 24)}},
            r"missing query_fc.\*.bias \(2 keys\)",
        ),
    ],
)
def test_not_a_released_checkpoint(tmp_path: Path, encoder: Encoder, change: dict[str, object], problem: str) -> None:
    save_released(tmp_path / "best.pt", encoder, VideoHead(24, 2, "none"), 1)
    checkpoint = torch.load(tmp_path / "best.pt", weights_only=True)
    torch.save({**checkpoint, **change}, tmp_path / "best.pt")
    with pytest.raises(WeightsError, match=problem):
        load_released(tmp_path / "best.pt")


def test_clip_alone_is_not_a_released_checkpoint(tmp_path: Path, encoder: Encoder) -> None:
    save_safetensors(tmp_path / "clip.safetensors", encoder)
    with pytest.raises(WeightsError, match=r"not a checkpoint of a model and its head \(got safetensors\)"):
        load_released(tmp_path / "clip.safetensors")
