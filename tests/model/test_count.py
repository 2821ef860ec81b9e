"""Sizes and work of the published architectures, against figures published for them."""

from __future__ import annotations

import pytest
from helpers.models import VIT
from torch import nn

from bike.model.count import count_image_flops
from bike.model.encoders import build
from bike.model.layers.architecture import OFFICIAL, Architecture, read_architecture

# Parameters in all; millions of the vision tower; GFLOPs of a picture (open_clip's model profile, which counts a
# ResNet's batch norms too).
PUBLISHED = {
    "ViT-B/32": (151_277_313, 87.85, 8.82),
    "ViT-B/16": (149_620_737, 86.19, 35.13),
    "ViT-L/14": (427_616_513, 303.97, 162.03),
    "ViT-L/14-336px": (427_944_193, 304.29, 381.92),
    "RN50": (102_007_137, 38.32, 12.22),
    "RN101": (119_688_033, 56.26, 19.54),
    "RN50x4": (178_300_601, 87.14, 42.56),
    "RN50x16": (290_979_217, 167.33, 149.39),
    "RN50x64": (623_258_305, 420.38, 529.11),
}


def spared(shape: Architecture) -> int:
    """What the last block would do for the patches, whose outputs nothing uses."""
    assert shape.patch_size is not None
    width, patches = shape.vision_width, (shape.input_size // shape.patch_size) ** 2
    return patches * (2 * 10 * width * width + 4 * (patches + 1) * width)


def num_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", OFFICIAL)
def test_published_architectures(name: str) -> None:
    parameters, vision_millions, image_gflops = PUBLISHED[name]
    shape = OFFICIAL[name]
    encoder, flops = build(shape, device="meta"), count_image_flops(shape)
    assert read_architecture(encoder.state_dict()) == shape
    assert encoder.device.type == "meta"
    assert num_parameters(encoder) == parameters
    assert round(num_parameters(encoder.visual) / 1e6, 2) == vision_millions
    if name.startswith("ViT"):
        assert round((flops + spared(shape)) / 1e9, 2) == image_gflops
    else:
        assert 0.94 * image_gflops < flops / 1e9 < image_gflops


def test_operations_are_those_counted_by_hand() -> None:
    width, patches, tokens = 64, 4, 5
    block = 2 * tokens * 12 * width * width + 4 * tokens * tokens * width
    by_hand = 2 * patches * 3 * 8 * 8 * width + 2 * block + 2 * width * 24
    assert count_image_flops(VIT) == by_hand - spared(VIT)
