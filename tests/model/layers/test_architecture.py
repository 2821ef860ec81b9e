"""The numbers of an architecture, read from a state dict."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers.models import RESNET, VIT, small

from bike.model.encoders import Encoder
from bike.model.layers.architecture import read_architecture


def test_architecture_of_shapes_that_fit_no_clip() -> None:
    state = small().state_dict()
    with pytest.raises(KeyError, match="text_projection"):
        read_architecture({key: value for key, value in state.items() if key != "text_projection"})
    with pytest.raises(ValueError, match="4 rows, not a square number and one"):
        read_architecture({**state, "visual.positional_embedding": torch.zeros(4, 64)})
    with pytest.raises(ValueError, match="visual.conv1.weight has shape"):
        read_architecture({**state, "visual.conv1.weight": torch.zeros(64)})


def test_heads_are_told_by_the_width_or_not_at_all() -> None:
    assert replace(VIT, vision_width=1280).vision_heads == 16  # OpenCLIP's ViT-H, 80 channels each
    assert replace(VIT, text_width=1280).text_heads == 20
    for shape, changes, said in (
        (VIT, {"vision_width": 96}, "width: 96 is not a multiple of 64"),
        (VIT, {"text_width": 160}, "width: 160 is not a multiple of 64"),
        (RESNET, {"vision_width": 15}, "width: 480 is not a multiple of 64"),  # pooling of 7 heads
        (VIT, {"patch_size": None}, "four numbers"),
        (RESNET, {"patch_size": 8}, "one number of vision_layers"),
    ):
        with pytest.raises(ValueError, match=said):
            Encoder(replace(shape, **changes))
