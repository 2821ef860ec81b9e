"""CLIP's ResNet tower: three-convolution stem, antialiased strides, attention pooling."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bike.model.layers.architecture import Architecture


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions; strides are average pools, on the shortcut too."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        channels_out = 4 * channels
        self.stride = stride
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        nn.init.zeros_(self.bn3.weight)  # a fresh block passes its input on, so that deep towers start to learn
        self.downsample: nn.ModuleDict | None = None
        if stride > 1 or channels_in != channels_out:
            # The state dict names these 0 and 1; the average pool before them has no weights.
            self.downsample = nn.ModuleDict(
                {"0": nn.Conv2d(channels_in, channels_out, 1, bias=False), "1": nn.BatchNorm2d(channels_out)}
            )

    def forward(self, x: Float[Tensor, "N A H W"]) -> Float[Tensor, "N E h w"]:
        """Halve the size where the stride is 2."""
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = F.relu(self.bn2(self.conv2(out)), inplace=True)
        if self.stride > 1:
            out, x = F.avg_pool2d(out, self.stride), F.avg_pool2d(x, self.stride)
        out = self.bn3(self.conv3(out))
        if self.downsample is not None:
            x = self.downsample["1"](self.downsample["0"](x))
        return F.relu(out + x, inplace=True)


class AttentionPool(nn.Module):
    """One attention step from the mean of all places to the places; its result is projected to D."""

    def __init__(self, grid: int, width: int, num_heads: int, embed_dim: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.positional_embedding = nn.Parameter(nn.init.normal_(torch.empty(grid * grid + 1, width), std=width**-0.5))
        self.k_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, embed_dim)
        for layer in (self.k_proj, self.q_proj, self.v_proj, self.c_proj):
            nn.init.normal_(layer.weight, std=width**-0.5)

    def forward(self, x: Float[Tensor, "N W h w"]) -> Float[Tensor, "N D"]:
        """Pool all places."""
        places = x.flatten(2).transpose(1, 2)
        places = torch.cat([places.mean(dim=1, keepdim=True), places], dim=1)  # the mean first: only it asks
        places = places + self.positional_embedding.to(places.dtype)
        query, key, value = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in (self.q_proj(places[:, :1]), self.k_proj(places), self.v_proj(places))
        )
        pooled = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.c_proj(pooled.transpose(1, 2).flatten(1))
        return out


class ModifiedResNet(nn.Module):
    """The ResNet of CLIP.

    Attributes:
        checkpointing: recompute each bottleneck in the backward pass; batch statistics are counted once all the same.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width, stages = architecture.vision_width, architecture.vision_layers
        if isinstance(stages, int):
            raise ValueError("a ResNet needs four numbers of vision_layers")
        self.checkpointing = False
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, stages[0], 1)
        self.layer2 = _stage(4 * width, 2 * width, stages[1], 2)
        self.layer3 = _stage(8 * width, 4 * width, stages[2], 2)
        self.layer4 = _stage(16 * width, 8 * width, stages[3], 2)
        grid = architecture.input_size // 32
        self.attnpool = AttentionPool(grid, 32 * width, architecture.vision_heads, architecture.embed_dim)

    def forward(self, frames: Float[Tensor, "N 3 S S"]) -> Float[Tensor, "N D"]:
        """Embed normalised pictures."""
        x = F.relu(self.bn1(self.conv1(frames)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        x = F.avg_pool2d(F.relu(self.bn3(self.conv3(x)), inplace=True), 2)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                if self.checkpointing and torch.is_grad_enabled():
                    x = checkpoint(block, x, use_reentrant=False, context_fn=partial(_once, block))
                else:
                    x = block(x)
        out: Tensor = self.attnpool(x)
        return out


def _stage(channels_in: int, channels: int, num_blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(channels_in, channels, stride)
    return nn.Sequential(first, *(Bottleneck(4 * channels, channels, 1) for _ in range(num_blocks - 1)))


def _once(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Contexts of a checkpointed block: the recomputation must not move the running statistics a second time."""
    return nullcontext(), _still_statistics(block)


@contextmanager
def _still_statistics(block: nn.Module) -> Iterator[None]:
    norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    kept = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None  # in training mode still: the same activations
    try:
        yield
    finally:
        for norm, momentum, batches in kept:
            norm.momentum, norm.num_batches_tracked = momentum, batches
