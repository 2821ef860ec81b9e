"""The numbers of an architecture, read from a state dict."""

from __future__ import annotations

import pytest
import torch
from helpers.models import RESNET, VIT, small

from bike.model.encoders import Encoder
from bike.model.layers.architecture import Architecture, read_architecture


def test_architecture_of_shapes_that_fit_no_clip() -> None:
    state = small().state_dict()
    with pytest.raises(KeyError, match="text_projection"):
        read_architecture({key: value for key, value in state.items() if key != "text_projection"})
    with pytest.raises(ValueError, match="4 rows, not a square number and one"):
        read_architecture({**state, "visual.positional_embedding": torch.zeros(4, 64)})
    with pytest.raises(ValueError, match="visual.conv1.weight has shape"):
        read_architecture({**state, "visual.conv1.weight": torch.zeros(64)})


def test_heads_are_told_by_the_width_or_not_at_all() -> None:
    fields = VIT.__dict__
    assert Architecture(**{**fields, "vision_width": 1280}).vision_heads == 16  # OpenCLIP's ViT-H, 80 channels each
    assert Architecture(**{**fields, "text_width": 1280}).text_heads == 20
    for changes in ({"vision_width": 96}, {"text_width": 160}):
        with pytest.raises(ValueError, match=r"width: \d+ is not a multiple of 64"):
            Encoder(Architecture(**{**fields, **changes}))
    with pytest.raises(ValueError, match="width: 480 is not a multiple of 64"):  # pooling of 7 heads
        Encoder(Architecture(**{**RESNET.__dict__, "vision_width": 15}))


def test_towers_refuse_each_other_s_numbers() -> None:
    fields = {**VIT.__dict__, "patch_size": None}
    with pytest.raises(ValueError, match="four numbers"):
        Encoder(Architecture(**fields))
    with pytest.raises(ValueError, match="one number of vision_layers"):
        Encoder(Architecture(**{**RESNET.__dict__, "patch_size": 8}))
