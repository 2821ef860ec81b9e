"""CLIP and the video head the plain way, for comparison only.

Works as published implementations do: ``nn.MultiheadAttention`` on (L, N, W), every block checkpointed, QuickGELU as
two products and a sigmoid, all similarities of video concept spotting at once. Takes the weights of :class:`Encoder`
and :class:`VideoHead` under the same key names and computes the same numbers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bike.model.heads import MAX_FRAMES, TEMPERATURE
from bike.model.layers.architecture import Architecture


class PlainBlock(nn.Module):
    """Pre-norm residual block on (L, N, W)."""

    def __init__(self, width: int, num_heads: int, eps: float) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, num_heads)
        self.ln_1 = nn.LayerNorm(width, eps=eps)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})
        self.ln_2 = nn.LayerNorm(width, eps=eps)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """One step of the residual stream."""
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False, attn_mask=mask)[0]
        hidden = self.mlp["c_fc"](self.ln_2(x))
        out: Tensor = x + self.mlp["c_proj"](hidden * torch.sigmoid(1.702 * hidden))
        return out


class PlainTransformer(nn.Module):
    """A stack of checkpointed blocks."""

    def __init__(self, width: int, num_layers: int, num_heads: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(PlainBlock(width, num_heads, eps) for _ in range(num_layers))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Run all blocks in turn."""
        for block in self.resblocks:
            x = checkpoint(block, x, mask, use_reentrant=False)
        return x


class PlainVision(nn.Module):
    """The vision transformer."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width, patch, layers = architecture.vision_width, architecture.patch_size, architecture.vision_layers
        if patch is None or not isinstance(layers, int):
            raise ValueError("the baseline has no ResNet")
        grid = architecture.input_size // patch
        self.conv1 = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(grid * grid + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = PlainTransformer(width, layers, architecture.vision_heads)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, architecture.embed_dim))

    def forward(self, frames: Tensor) -> Tensor:
        """Embed pictures."""
        patches = self.conv1(frames)
        patches = patches.reshape(patches.shape[0], patches.shape[1], -1).permute(0, 2, 1)
        zeros = torch.zeros(patches.shape[0], 1, patches.shape[-1], dtype=patches.dtype, device=patches.device)
        x = torch.cat([self.class_embedding.to(patches.dtype) + zeros, patches], dim=1)
        x = self.ln_pre(x + self.positional_embedding.to(x.dtype)).permute(1, 0, 2)
        x = self.transformer(x).permute(1, 0, 2)
        out: Tensor = self.ln_post(x[:, 0, :]) @ self.proj
        return out


class PlainEncoder(nn.Module):
    """CLIP's two towers."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width = architecture.text_width
        self.visual = PlainVision(architecture)
        self.transformer = PlainTransformer(width, architecture.text_layers, architecture.text_heads)
        self.token_embedding = nn.Embedding(architecture.vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(architecture.context_length, width))
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, architecture.embed_dim))
        self.logit_scale = nn.Parameter(torch.empty(()))

    def encode_image(self, frames: Tensor) -> Tensor:
        """Embed pictures."""
        features: Tensor = self.visual(frames)
        return features

    def encode_text(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Class embeddings and token features."""
        length = ids.shape[1]
        mask = torch.full((length, length), float("-inf"), device=ids.device).triu(1)
        x = (self.token_embedding(ids) + self.positional_embedding[:length]).permute(1, 0, 2)
        x = self.ln_final(self.transformer(x, mask).permute(1, 0, 2))
        tokens = x @ self.text_projection
        return tokens[torch.arange(len(ids), device=ids.device), ids.argmax(dim=-1)], tokens


class PlainHead(nn.Module):
    """Temporal head with video concept spotting."""

    def __init__(self, width: int, num_heads: int, num_layers: int = 6) -> None:
        super().__init__()
        self.frame_position_embeddings = nn.Embedding(MAX_FRAMES, width)
        self.transformer = PlainTransformer(width, num_layers, num_heads, eps=1e-12)

    def forward(self, frames: Tensor, tokens: Tensor, classes: Tensor) -> Tensor:
        """Logits of every video with every class."""
        positions = torch.arange(frames.shape[1], device=frames.device).expand(frames.shape[:2])
        x = (frames + self.frame_position_embeddings(positions)).permute(1, 0, 2)
        frames = self.transformer(x).permute(1, 0, 2).type(frames.dtype) + frames
        frames, tokens, classes = (F.normalize(x, dim=-1) for x in (frames, tokens, classes))
        similar = torch.einsum("awd,bvd->abwv", tokens, frames)
        weights = F.softmax(similar / TEMPERATURE, dim=-1).mean(dim=2)
        pooled = torch.einsum("abv,bvd->abd", weights, frames)
        return torch.einsum("abd,ad->ab", pooled, classes).T
