"""How much a model computes, found from shapes alone."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from bike.model.encoders import build
from bike.model.layers.architecture import Architecture


def count_image_flops(architecture: Architecture) -> int:
    """Operations that embed one picture, on the meta device: no memory, hardly any time.

    A multiplication and an addition are two operations: 8.2e9 for ViT-B/32.
    """
    encoder = build(architecture, device="meta").eval()
    picture = torch.empty(1, 3, architecture.input_size, architecture.input_size, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        encoder.encode_image(picture)
    return int(counter.get_total_flops())
