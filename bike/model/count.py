"""How large a model is and how much it computes, found from shapes alone."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bike.model.encoders import build
from bike.model.heads import VideoHead
from bike.model.layers.architecture import Architecture


@dataclass(frozen=True, kw_only=True)
class Count:
    """Size and work of a CLIP. A multiplication and an addition are two operations.

    Attributes:
        parameters: of both towers and the logit scale.
        vision_parameters: of the vision tower.
        image_flops: operations to embed one picture.
        text_flops: operations to embed one text, all its positions.
    """

    parameters: int
    vision_parameters: int
    image_flops: int
    text_flops: int


def count_clip(architecture: Architecture) -> Count:
    """Count a CLIP's parameters and forward operations on the meta device: no memory, no time to speak of."""
    encoder = build(architecture, device="meta").eval()
    size = architecture.input_size
    picture = torch.empty(1, 3, size, size, device="meta")
    text = torch.empty(1, architecture.context_length, dtype=torch.int64, device="meta")
    with torch.no_grad():
        with FlopCounterMode(display=False) as image_counter:
            encoder.encode_image(picture)
        with FlopCounterMode(display=False) as text_counter:
            encoder.encode_text(text)
    return Count(
        parameters=num_parameters(encoder),
        vision_parameters=num_parameters(encoder.visual),
        image_flops=image_counter.get_total_flops(),
        text_flops=text_counter.get_total_flops(),
    )


def count_head_flops(head: VideoHead, *, num_frames: int, num_classes: int, num_tokens: int = 77) -> int:
    """Operations of the video head's matrix products for one clip."""
    with torch.device("meta"):
        frames = torch.empty(1, num_frames, head.width)
        tokens, classes = torch.empty(num_classes, num_tokens, head.width), torch.empty(num_classes, head.width)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        deepcopy(head).to("meta")(frames, tokens, classes)
    return int(counter.get_total_flops())


def num_parameters(module: nn.Module) -> int:
    """Numbers in a module's parameters; shared ones count once."""
    return sum(parameter.numel() for parameter in module.parameters())
