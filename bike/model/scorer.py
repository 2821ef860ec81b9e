"""A video model with the classes it tells apart: frames to features, logits and saliency."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor

from bike.data.spatial import normalize
from bike.errors import WeightsError, first_few, one_line
from bike.model.encoders import Encoder, encode_prompts
from bike.model.heads import VideoHead
from bike.progress import log
from bike.text.prompts import class_prompts
from bike.text.tokenizer import CONTEXT_LENGTH, tokenize

# Pixels that go through the encoder at once: 128 frames of 224 px, and fewer on a CPU, whose caches are smaller.
PIXELS_AT_ONCE = 128 * 224 * 224
PIXELS_AT_ONCE_CPU = 32 * 224 * 224
TEXTS_AT_ONCE = 256


class Scorer:
    """A video model with the classes it tells apart, whose texts are encoded once.

    Args:
        encoder, head: on their device; not changed.
        names: K class names.
        prompt: sentence with ``{}`` for the class name.
        working_type: for ``autocast``; None for fp32.
        captions: class embeddings (K, D) and token features (K, L, D) where they are already computed.
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
        self.classes, self.tokens = captions or encode_captions(encoder, class_texts(encoder, names, prompt))

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
        # One clip with its one class at a time: of all B · B pairs only the diagonal is asked for.
        rows = [
            self.head.saliency(clip[None], self.tokens[label][None], self.classes[label][None])[0, 0]
            for clip, label in zip(features, labels, strict=True)
        ]
        return torch.stack(rows).float()


def text_ids(encoder: Encoder, texts: Sequence[str]) -> Int64[Tensor, "M L"]:
    """Token ids that an encoder takes: cut to its own positions where it has fewer than CLIP's 77.

    Raises:
        WeightsError: it has too few, or too small a vocabulary; see :meth:`Architecture.text_problem`.
    """
    problem = encoder.architecture.text_problem()
    if problem:
        raise WeightsError(f"The text tower can't read CLIP's tokens: {problem}. Use other weights.")
    return tokenize(texts, min(CONTEXT_LENGTH, encoder.context_length))


def class_texts(encoder: Encoder, names: Sequence[str], prompt: str) -> list[str]:
    """Each class name in the prompt; classes that the encoder reads alike are reported, since nothing tells them apart.

    Alike are equal names, names that differ in upper and lower case or white space only, and texts that are equal once
    cut to the encoder's positions.
    """
    texts = class_prompts(names, prompt)
    same: dict[tuple[int, ...], list[int]] = {}
    for label, row in enumerate(text_ids(encoder, texts).tolist()):
        same.setdefault(tuple(row), []).append(label)
    groups = [labels for labels in same.values() if len(labels) > 1]
    if groups:
        shown = [", ".join(f"{label} {one_line(names[label])[:60]!r}" for label in labels) for labels in groups]
        log.warning(
            "%d of %d classes have the same text as another for the encoder, which can't tell them apart: %s",
            sum(map(len, groups)),
            len(names),
            first_few(shown),
        )
    return texts


def encode_captions(encoder: Encoder, captions: Sequence[str]) -> tuple[Float[Tensor, "M D"], Float[Tensor, "M L D"]]:
    """Class embeddings and token features of texts, each distinct one encoded once."""
    distinct = {caption: row for row, caption in enumerate(dict.fromkeys(captions))}
    classes, tokens = encode_prompts(encoder, text_ids(encoder, list(distinct)))
    rows = torch.tensor([distinct[caption] for caption in captions], device=classes.device)
    return classes[rows], tokens[rows]


@torch.no_grad()
def encode_sentences(encoder: Encoder, texts: Sequence[str]) -> Float32[Tensor, "M D"]:
    """Class embeddings only, each distinct text encoded once; on the encoder's device."""
    distinct = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    parts = torch.split(text_ids(encoder, list(distinct)), TEXTS_AT_ONCE)
    embedded = torch.cat([encoder.embed_text(part.to(encoder.device)).float() for part in parts])
    return embedded[torch.tensor([distinct[text] for text in texts], device=embedded.device)]


@torch.no_grad()
def encode_frames(
    encoder: Encoder, frames: UInt8[Tensor, "B V T 3 S S"], working_type: torch.dtype | None = None
) -> Float32[Tensor, "B V T D"]:
    """Encode every frame of every view; equal frames, as views of short or square videos have, are encoded once.

    Frames are bytes, anywhere; the encoder works on its own device, under ``autocast`` where a type is given.
    """
    pictures = frames.flatten(0, 2)
    copies = distinct_pictures(pictures) if frames.shape[1] > 1 else None  # little repeats in one view
    if copies is not None:
        # Picked in the order of the memory (channels last), so that the pictures keep it.
        pictures = pictures.permute(0, 2, 3, 1)[copies[0]].permute(0, 3, 1, 2)
    at_once = PIXELS_AT_ONCE_CPU if encoder.device.type == "cpu" else PIXELS_AT_ONCE
    size = max(1, at_once // (frames.shape[-1] * frames.shape[-2]))
    parts = []
    for part in torch.split(pictures, size):
        with autocast(encoder.device, working_type):
            parts.append(encoder.encode_image(normalize(part.to(encoder.device))).float())
    features = torch.cat(parts)
    if copies is not None:
        features = features[copies[1].to(features.device)]
    return features.view(*frames.shape[:3], -1)


def autocast(device: torch.device, working_type: torch.dtype | None) -> AbstractContextManager[object]:
    """Matrix products in ``working_type`` inside; None leaves everything in fp32."""
    return nullcontext() if working_type is None else torch.autocast(device.type, working_type)


def distinct_pictures(
    pictures: UInt8[Tensor, "N 3 H W"],
) -> tuple[Int64[Tensor, " M"], Int64[Tensor, " N"]] | None:
    """Find pictures that occur more than once.

    Returns:
        Rows of one copy of each picture, and for every picture the place of its copy among them; None when there is
        little to gain (fewer than one in eight is a copy).
    """
    flat = pictures.permute(0, 2, 3, 1).flatten(1)  # in the order of the memory
    if flat.shape[1] % 8:  # to be read as words of 8 bytes
        flat = torch.nn.functional.pad(flat, (0, 8 - flat.shape[1] % 8))
    # `torch.unique(dim=0)` would sort whole pictures. A random linear hash of 64 bits sorts numbers instead; should two
    # different pictures ever share one, the comparison at the end finds out.
    words = flat.contiguous().view(torch.int64)
    weights = torch.randint(-(2**62), 2**62, (words.shape[1],), generator=torch.Generator().manual_seed(0))
    _, places = torch.unique((words * weights.to(words.device)).sum(1), return_inverse=True)
    numbers = torch.arange(len(pictures), device=places.device)
    first = torch.full((int(places.max()) + 1,), len(pictures), device=places.device)
    first.scatter_reduce_(0, places, numbers, "amin")
    if len(first) * 8 > len(pictures) * 7 or not torch.equal(pictures[first[places]], pictures):
        return None
    return first, places
