"""A video model with the classes it tells apart: frames to features, logits and saliency."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor

from bike.model.encoders import Encoder, encode_prompts
from bike.model.frames import autocast, encode_frames
from bike.model.heads import VideoHead
from bike.text.prompts import class_prompts
from bike.text.tokenizer import tokenize


class Scorer:
    """A video model with the classes it tells apart, whose texts are encoded once.

    Args:
        encoder, head: on their device; not changed.
        names: K class names.
        prompt: sentence with ``{}`` for the class name.
        working_type: for ``autocast``; None for fp32.
        captions: class embeddings (K, D) and token features (K, L, D) where they are at hand already.
    """

    def __init__(
        self,
        encoder: Encoder,
        head: VideoHead,
        names: Sequence[str],
        prompt: str,
        *,
        working_type: torch.dtype | None = None,
        captions: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.encoder, self.head, self.names = encoder, head, list(names)
        self.working_type = working_type
        self.classes, self.tokens = captions or encode_captions(encoder, class_prompts(names, prompt))

    def features(self, frames: UInt8[Tensor, "B V T 3 S S"]) -> Float32[Tensor, "B V T D"]:
        """Encode every frame of every view."""
        return encode_frames(self.encoder, frames, self.working_type)

    @torch.no_grad()
    def logits(self, features: Float32[Tensor, "B V T D"]) -> Float32[Tensor, "B V K"]:
        """Raw cosines of each view with each class."""
        with autocast(features.device, self.working_type):
            found: Tensor = self.head(features.flatten(0, 1), self.tokens, self.classes)
        return found.float().view(*features.shape[:2], -1)

    def score_frames(self, frames: UInt8[Tensor, "B V T 3 S S"]) -> Float32[Tensor, "B V K"]:
        """Raw cosines of each view with each class, straight from the frames."""
        return self.logits(self.features(frames))

    @torch.no_grad()
    def saliency(self, features: Float32[Tensor, "B T D"], labels: Int64[Tensor, " B"]) -> Float32[Tensor, "B T"]:
        """Weight of each frame in one class's view of each clip; sums to 1 over frames."""
        labels = labels.to(features.device)
        rows = [
            self.head.saliency(clip[None], self.tokens[label][None], self.classes[label][None])[0, 0]
            for clip, label in zip(features, labels, strict=True)
        ]
        return torch.stack(rows).float()


def encode_captions(encoder: Encoder, captions: Sequence[str]) -> tuple[Float[Tensor, "M D"], Float[Tensor, "M L D"]]:
    """Class embeddings and token features of texts, each distinct one encoded once."""
    distinct = {caption: row for row, caption in enumerate(dict.fromkeys(captions))}
    classes, tokens = encode_prompts(encoder, tokenize(list(distinct)))
    if len(distinct) == len(captions):
        return classes, tokens
    rows = torch.tensor([distinct[caption] for caption in captions], device=classes.device)
    return classes[rows], tokens[rows]


@torch.no_grad()
def encode_sentences(encoder: Encoder, texts: Sequence[str], *, chunk: int = 256) -> Float32[Tensor, "M D"]:
    """Class embeddings only, each distinct text encoded once; on the encoder's device."""
    distinct = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    parts = torch.split(tokenize(list(distinct)), chunk)
    embedded = torch.cat([encoder.embed_text(part.to(encoder.device)).float() for part in parts])
    return embedded[torch.tensor([distinct[text] for text in texts], device=embedded.device)]
