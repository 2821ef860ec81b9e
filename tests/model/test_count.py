"""Sizes and work of the published architectures, against figures published for them."""

from __future__ import annotations

import pytest
import torch
from helpers.models import VIT, small

from bike.model.count import count_clip, count_head_flops, num_parameters
from bike.model.heads import VideoHead
from bike.model.layers.architecture import OFFICIAL, Architecture

# Parameters in all; millions of the vision tower; GFLOPs of a picture and of a text (open_clip's model profile, which
# projects one token of a text, not all, and counts a ResNet's batch norms too).
PUBLISHED = {
    "ViT-B/32": (151_277_313, 87.85, 8.82, 5.96),
    "ViT-B/16": (149_620_737, 86.19, 35.13, 5.96),
    "ViT-L/14": (427_616_513, 303.97, 162.03, 13.3),
    "ViT-L/14-336px": (427_944_193, 304.29, 381.92, 13.3),
    "RN50": (102_007_137, 38.32, 12.22, 5.96),
    "RN101": (119_688_033, 56.26, 19.54, 5.96),
    "RN50x4": (178_300_601, 87.14, 42.56, 9.27),
    "RN50x16": (290_979_217, 167.33, 149.39, 13.3),
    "RN50x64": (623_258_305, 420.38, 529.11, 23.55),
}


def spared(shape: Architecture) -> int:
    """What the last block would do for the patches, whose outputs nothing uses."""
    assert shape.patch_size is not None
    width, patches = shape.vision_width, (shape.input_size // shape.patch_size) ** 2
    return patches * (2 * 10 * width * width + 4 * (patches + 1) * width)


@pytest.mark.parametrize("name", OFFICIAL)
def test_published_architectures(name: str) -> None:
    parameters, vision_millions, image_gflops, text_gflops = PUBLISHED[name]
    shape = OFFICIAL[name]
    count = count_clip(shape)
    assert count.parameters == parameters
    assert round(count.vision_parameters / 1e6, 2) == vision_millions
    if name.startswith("ViT"):
        assert round((count.image_flops + spared(shape)) / 1e9, 2) == image_gflops
    else:
        assert 0.94 * image_gflops < count.image_flops / 1e9 < image_gflops
    assert text_gflops < count.text_flops / 1e9 < 1.015 * text_gflops


def test_counts_are_those_of_a_real_model() -> None:
    encoder = small()
    count = count_clip(VIT)
    assert count.parameters == num_parameters(encoder) == sum(value.numel() for value in encoder.state_dict().values())
    width, patches, tokens = 64, 4, 5
    block = 2 * tokens * 12 * width * width + 4 * tokens * tokens * width
    by_hand = 2 * patches * 3 * 8 * 8 * width + 2 * block + 2 * width * 24
    assert count.image_flops == by_hand - spared(VIT)


def test_head_flops() -> None:
    head = VideoHead(32, 1, "none", "dp")
    assert count_head_flops(head, num_frames=8, num_classes=10) == 2 * 32 * 10
    spotting = VideoHead(32, 1, "none", "vcs")
    assert count_head_flops(spotting, num_frames=8, num_classes=10, num_tokens=7) == 2 * 8 * 32 * 10 * (7 + 1)
    temporal = VideoHead(32, 1)
    extra = count_head_flops(temporal, num_frames=8, num_classes=10, num_tokens=7) - 2 * 8 * 32 * 10 * (7 + 1)
    assert extra == 6 * (2 * 8 * 12 * 32 * 32 + 4 * 8 * 8 * 32)
    assert temporal.frame_position_embeddings.weight.device == torch.device("cpu")
