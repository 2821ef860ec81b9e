"""From frame features and text embeddings to logits: the video head and the attribute head."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bike.model.layers.blocks import Transformer
from bike.model.layers.linear import Linear, linear

Temporal = Literal["transf", "none"]
Interaction = Literal["vcs", "dp"]

MAX_FRAMES = 77  # rows of the position table, as released checkpoints have them
TEMPERATURE = 0.01  # of the softmax over frames
CHUNK_ELEMENTS = 2**22  # similarities held at once while spotting concepts (16 MiB in fp32)


class VideoHead(nn.Module):
    """Temporal head, then interaction of frames with class texts.

    Args:
        width: embedding width D.
        num_heads: attention heads of the temporal head; the text tower's number.
        temporal: ``"transf"`` adds position embeddings and attention blocks, ``"none"`` takes frames as they are.
        interaction: ``"vcs"`` weights frames by how much the words of a class occur in them, ``"dp"`` averages them.
        num_layers: attention blocks of the temporal head.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        temporal: Temporal = "transf",
        interaction: Interaction = "vcs",
        *,
        num_layers: int = 6,
    ) -> None:
        super().__init__()
        if temporal not in ("transf", "none"):
            raise ValueError(f"temporal: unknown {temporal!r}; 'transf' or 'none'")
        if interaction not in ("vcs", "dp"):
            raise ValueError(f"interaction: unknown {interaction!r}; 'vcs' or 'dp'")
        self.temporal, self.interaction = temporal, interaction
        if temporal == "transf":
            self.frame_position_embeddings = nn.Embedding(MAX_FRAMES, width)
            self.transformer = Transformer(width, num_layers, num_heads, eps=1e-12)  # CLIP's own have 1e-5
            _initialize(self)

    def forward(
        self,
        frames: Float[Tensor, "B T D"],
        tokens: Float[Tensor, "K L D"] | None,
        classes: Float[Tensor, "K D"],
    ) -> Float[Tensor, "B K"]:
        """Cosine-like logits of every video with every class.

        Args:
            frames: features of T frames, not normalised, T at most 77.
            tokens: token features of the class texts, not normalised; ``"dp"`` does without (None).
            classes: class embeddings, not normalised.
        """
        frames = self.mix_frames(frames)
        with _full_precision(frames):
            frames, classes = frames.float(), F.normalize(classes.float(), dim=-1)
            if self.interaction == "dp":
                return F.normalize(frames.mean(dim=1), dim=-1) @ classes.T
            if tokens is None:
                raise ValueError("tokens: missing; the 'vcs' interaction needs token features")
            frames = F.normalize(frames, dim=-1)
            return _spot(frames, tokens.float(), classes)

    def saliency(
        self,
        frames: Float[Tensor, "B T D"],
        tokens: Float[Tensor, "K L D"] | None,
        classes: Float[Tensor, "K D"],
    ) -> Float[Tensor, "B K T"]:
        """The weight that each frame gets in a class's view of a video; sums to 1 over T.

        Arguments as in :meth:`forward`. For ``"dp"`` every frame weighs the same.
        """
        frames = self.mix_frames(frames)
        if self.interaction == "dp" or tokens is None:
            num, length, _ = frames.shape
            return frames.new_full((num, len(classes), length), 1 / length, dtype=torch.float32)
        with _full_precision(frames):
            frames, tokens = F.normalize(frames.float(), dim=-1), tokens.float()
            parts = [_weigh_frames(frames, part) for part in torch.split(tokens, _chunk_size(frames, tokens))]
            return torch.cat(parts, dim=2).transpose(1, 2)

    def mix_frames(self, frames: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """The temporal head alone: frames attend to each other, and the result is added to them."""
        if self.temporal == "none":
            return frames
        length = frames.shape[1]
        if length > MAX_FRAMES:
            raise ValueError(f"frames: {length} of them; the position table has {MAX_FRAMES} rows")
        mixed: Tensor = self.transformer(frames + self.frame_position_embeddings.weight[:length])
        return mixed.to(frames.dtype) + frames


class AttributeHead(nn.Module):
    """Two MLPs that bring class texts and attribute sentences to one space, both of the embedding's width D."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query_fc = nn.Sequential(Linear(width, width), nn.ReLU(), Linear(width, width))
        self.sentence_fc = nn.Sequential(Linear(width, width), nn.ReLU(), Linear(width, width))
        _initialize(self)

    def forward(self, classes: Float[Tensor, "K D"], sentences: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
        """Cosines of every sentence with every class; neither input need be normalised."""
        queries = F.normalize(self.query_fc(F.normalize(classes, dim=-1)).float(), dim=-1)
        found = F.normalize(self.sentence_fc(F.normalize(sentences, dim=-1)).float(), dim=-1)
        with _full_precision(found):
            return found @ queries.T


def _full_precision(tensor: Tensor) -> AbstractContextManager[object]:
    """Switch autocast off: at a temperature of 0.01, half precision would blur which frame is meant."""
    kind = tensor.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def _initialize(head: nn.Module) -> None:
    """Linear and embedding weights N(0, 0.02), biases 0; attention's fused projection keeps its own start."""
    for module in head.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


def _chunk_size(frames: Tensor, tokens: Tensor) -> int:
    """How many classes may be compared with all frames at once."""
    per_class = frames.shape[0] * frames.shape[1] * tokens.shape[1]
    return max(1, CHUNK_ELEMENTS // max(1, per_class))  # a batch without videos has nothing per class


def _spot(frames: Tensor, tokens: Tensor, classes: Tensor) -> Tensor:
    """Video concept spotting (BIKE, section 3.2) a few classes at a time: (B, K); ``tokens`` need not be normalised."""
    if torch.compiler.is_compiling():  # an exported graph has any number of frames and classes, and no chunks
        return _spot_chunk(frames, tokens, classes)
    size = _chunk_size(frames, tokens)
    many = size < len(tokens) and torch.is_grad_enabled()
    parts = []
    for some_tokens, some_classes in zip(torch.split(tokens, size), torch.split(classes, size), strict=True):
        if many:  # keeping the similarities of all chunks for the backward pass would undo the chunking
            parts.append(checkpoint(_spot_chunk, frames, some_tokens, some_classes, use_reentrant=False))
        else:
            parts.append(_spot_chunk(frames, some_tokens, some_classes))
    return torch.cat(parts, dim=1)


def _spot_chunk(frames: Tensor, tokens: Tensor, classes: Tensor) -> Tensor:
    # <Σ_t α v, c> = Σ_t α <v, c>, so the (K, B, D) pooled features need never exist.
    return (_weigh_frames(frames, tokens) * (frames @ classes.T)).sum(dim=1)


def _weigh_frames(frames: Tensor, tokens: Tensor) -> Tensor:
    """α averaged over the token positions, (B, T, K); frames before tokens makes the softmax run over long rows."""
    num, length, _ = frames.shape
    similar = linear(frames.flatten(0, 1), tokens.flatten(0, 1))
    # Dividing the similarities by the tokens' lengths equals normalising the tokens first, but touches one number a
    # token, not D of them.
    sharpness = 1 / (TEMPERATURE * torch.linalg.vector_norm(tokens, dim=-1).clamp_min(1e-12).flatten())
    alpha = F.softmax(similar.view(num, length, -1) * sharpness, dim=1)
    return alpha.view(num, length, tokens.shape[0], -1).mean(dim=-1)
