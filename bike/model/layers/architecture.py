"""The numbers that define a CLIP: read from a state dict, or chosen for a fresh one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from bike.text.tokenizer import END_OF_TEXT

HEAD_WIDTH = 64  # channels of one attention head, everywhere in CLIP; no state dict says it


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Widths and depths of both towers.

    Attributes:
        embed_dim: width D of the space shared by pictures and text.
        input_size: side of the square pictures, px.
        vision_layers: blocks of the vision transformer, or the bottlenecks of a ResNet's four stages.
        vision_width: channels of the vision transformer, or of the ResNet's first stage.
        patch_size: side of a patch, px; None for a ResNet.
        text_width: channels of the text transformer.
        text_layers: its blocks.
        context_length: token positions L.
        vocab_size: rows of the token table.
    """

    embed_dim: int
    input_size: int
    vision_layers: int | tuple[int, int, int, int]
    vision_width: int
    patch_size: int | None
    text_width: int
    text_layers: int
    context_length: int = 77
    vocab_size: int = 49408

    @property
    def vision_heads(self) -> int:
        """Heads of the vision tower; a ResNet's are those of its attention pooling."""
        width = self.vision_width * (1 if self.patch_size else 32)
        # Known only by name: OpenCLIP's ViT-H (model_configs/ViT-H-14.json) has heads of 80 channels. 20 heads of 64
        # would load as well, and give other features without a word.
        return 16 if self.patch_size and width == 1280 else _count_heads(width)

    @property
    def text_heads(self) -> int:
        """Heads of the text tower, and of the temporal head."""
        return _count_heads(self.text_width)

    def text_problem(self) -> str:
        """Why the text tower can't read CLIP's tokens; an empty text where it can."""
        if self.context_length < 3:
            return f"{self.context_length} positions; start of text, a word and end of text need 3"
        if self.vocab_size <= END_OF_TEXT:
            return f"{self.vocab_size} words in its vocabulary; CLIP's has {END_OF_TEXT + 1}"
        return ""


def _count_heads(width: int) -> int:
    if width > HEAD_WIDTH and width % HEAD_WIDTH:
        raise ValueError(f"width: {width} is not a multiple of {HEAD_WIDTH}, so its attention heads can't be counted")
    return max(1, width // HEAD_WIDTH)  # narrow towers, as tests have them, still need one


def read_architecture(state: Mapping[str, Tensor]) -> Architecture:
    """Read the architecture off the shapes of a state dict with OpenAI's key names.

    Raises:
        KeyError: a tensor that defines the architecture is missing; its name is the argument.
        ValueError: its shape fits no CLIP; the text names it.
    """
    stem = _shape(state, "visual.conv1.weight", 4)
    text_width, embed_dim = _shape(state, "text_projection", 2)
    vocab_size, _ = _shape(state, "token_embedding.weight", 2)
    context_length, _ = _shape(state, "positional_embedding", 2)
    vision_layers: int | tuple[int, int, int, int]
    if "visual.attnpool.positional_embedding" in state:
        stages = [_count(state, rf"visual\.layer{stage}\.(\d+)\.") for stage in (1, 2, 3, 4)]
        vision_layers = (stages[0], stages[1], stages[2], stages[3])
        # Four stages of bottlenecks end at 32 times the first stage's channels and a 32nd of the pictures' side.
        positions, pooled = _shape(state, "visual.attnpool.positional_embedding", 2)
        patch_size, vision_width, scale = None, pooled // 32, 32
    else:
        positions, vision_width = _shape(state, "visual.positional_embedding", 2)
        vision_layers = _count(state, r"visual\.transformer\.resblocks\.(\d+)\.")
        patch_size = scale = stem[-1]
    grid = round(max(positions - 1, 0) ** 0.5)  # one position is the class token's, or the mean's
    if grid < 1 or grid * grid + 1 != positions:
        raise ValueError(f"visual positional embedding has {positions} rows, not a square number and one")
    return Architecture(
        embed_dim=embed_dim,
        input_size=grid * scale,
        vision_layers=vision_layers,
        vision_width=vision_width,
        patch_size=patch_size,
        text_width=text_width,
        text_layers=_count(state, r"transformer\.resblocks\.(\d+)\."),
        context_length=context_length,
        vocab_size=vocab_size,
    )


def _shape(state: Mapping[str, Tensor], key: str, num_dims: int) -> list[int]:
    shape = list(state[key].shape)
    if len(shape) != num_dims or 0 in shape:
        raise ValueError(f"{key} has shape {shape}, not {num_dims} non-empty dimensions")
    return shape


def _count(keys: Iterable[str], pattern: str) -> int:
    """How many layers ``pattern`` finds; where their numbers have a gap, missing and unexpected keys will show it."""
    return len({match[1] for match in (re.match(pattern, key) for key in keys) if match})


OFFICIAL: dict[str, Architecture] = {
    name: Architecture(
        embed_dim=embed_dim,
        input_size=input_size,
        vision_layers=vision_layers,
        vision_width=vision_width,
        patch_size=patch_size,
        text_width=text_width,
        text_layers=12,
    )
    for name, input_size, patch_size, vision_layers, vision_width, text_width, embed_dim in (
        ("ViT-B/32", 224, 32, 12, 768, 512, 512),
        ("ViT-B/16", 224, 16, 12, 768, 512, 512),
        ("ViT-L/14", 224, 14, 24, 1024, 768, 768),
        ("ViT-L/14-336px", 336, 14, 24, 1024, 768, 768),
        ("RN50", 224, None, (3, 4, 6, 3), 64, 512, 1024),
        ("RN101", 224, None, (3, 4, 23, 3), 64, 512, 512),
        ("RN50x4", 288, None, (4, 6, 10, 6), 80, 640, 640),
        ("RN50x16", 384, None, (6, 8, 18, 8), 96, 768, 768),
        ("RN50x64", 448, None, (3, 15, 36, 10), 128, 1024, 1024),
    )
}
"""The architectures that OpenAI published, by their official names."""
