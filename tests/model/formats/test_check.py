"""All that does not fit is named, with its nearest match."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.models import RESNET, same_encoder, small
from safetensors.torch import save_file

from bike.errors import WeightsError
from bike.model.encoders import Encoder
from bike.model.weights import load_clip


def test_counters_that_old_files_lack(tmp_path: Path) -> None:
    expected = small(RESNET)
    state = {key: value for key, value in expected.state_dict().items() if not key.endswith("num_batches_tracked")}
    save_file(state, tmp_path / "clip.safetensors")
    assert same_encoder(load_clip(tmp_path / "clip.safetensors"), expected)


def test_all_that_does_not_fit_is_listed_with_the_nearest(tmp_path: Path, encoder: Encoder) -> None:
    state = dict(encoder.state_dict())
    state["ln_finale.weight"] = state.pop("ln_final.weight")
    for layer in (0, 1):
        state[f"transformer.resblocks.{layer}.mlp.fc.weight"] = state.pop(
            f"transformer.resblocks.{layer}.mlp.c_fc.weight"
        )
    state["visual.proj"] = torch.zeros(64, 25)
    state["visual.ln_post.bias"] = torch.zeros(64, dtype=torch.int64)
    state["optimizer"] = torch.zeros(3)
    save_file(state, tmp_path / "clip.safetensors")
    with pytest.raises(WeightsError) as caught:
        load_clip(tmp_path / "clip.safetensors")
    text = str(caught.value)
    assert "\n" not in text
    for part in (
        "missing ln_final.weight [nearest: ln_finale.weight, 128]",
        "missing transformer.resblocks.*.mlp.c_fc.weight (2 keys) [nearest: transformer.resblocks.*.mlp.fc.weight (2",
        "unexpected ln_finale.weight [nearest: ln_final.weight, 128]",
        "unexpected optimizer;",
        "mis-shaped visual.proj (got 64x25; the model has 64x24)",
        "visual.ln_post.bias is of type torch.int64",
    ):
        assert part in text, part


def test_layers_with_a_gap(tmp_path: Path, encoder: Encoder) -> None:
    state = {
        key.replace("transformer.resblocks.1.", "transformer.resblocks.999999999."): value
        for key, value in encoder.state_dict().items()
    }
    save_file(state, tmp_path / "clip.safetensors")
    with pytest.raises(
        WeightsError, match=r"missing transformer.resblocks.1.ln_1.bias .*; unexpected transformer.resblocks.999"
    ):
        load_clip(tmp_path / "clip.safetensors")
