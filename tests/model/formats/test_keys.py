"""Other publishers' key names give the same encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.models import hugging_face_folder, hugging_face_state, same_encoder
from safetensors.torch import save_file

from bike.errors import WeightsError
from bike.model.encoders import Encoder
from bike.model.weights import load_clip


def test_hugging_face_folder_and_file(tmp_path: Path, encoder: Encoder) -> None:
    folder = hugging_face_folder(tmp_path / "clip", encoder)
    assert same_encoder(load_clip(folder), encoder)
    assert same_encoder(load_clip(folder / "model.safetensors"), encoder)
    (folder / "config.json").unlink()
    assert same_encoder(load_clip(folder), encoder)


def test_hugging_face_part_is_missing(tmp_path: Path, encoder: Encoder) -> None:
    state = hugging_face_state(encoder)
    del state["text_model.encoder.layers.1.self_attn.k_proj.weight"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"missing transformer.resblocks.1.attn.in_proj_weight") as caught:
        load_clip(tmp_path / "model.safetensors")
    assert "in_proj_weight (q)" in str(caught.value)


def test_open_clip(tmp_path: Path, encoder: Encoder) -> None:
    plain = encoder.state_dict()
    ours = ("visual.", "logit_scale")
    custom = {key if key.startswith(ours) else f"text.{key}": value for key, value in plain.items()}
    torch.save({"epoch": 32, "name": "run", "state_dict": custom}, tmp_path / "epoch_32.pt")
    assert same_encoder(load_clip(tmp_path / "epoch_32.pt"), encoder)
    torch.save(plain, tmp_path / "open_clip_pytorch_model.bin")
    assert same_encoder(load_clip(tmp_path), encoder)
