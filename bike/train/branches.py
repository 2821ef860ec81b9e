"""What branches do differently in a training step: how samples become embeddings, and embeddings logits."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from bike.data.spatial import normalize
from bike.model.encoders import Encoder, encode_prompts
from bike.model.heads import AttributeHead, VideoHead


@runtime_checkable
class Branch(Protocol):
    """A model in training.

    Attributes:
        parts: its modules by name; of their parameters, those that require gradients are trained.
    """

    parts: dict[str, nn.Module]

    def embed(self, inputs: Tensor) -> Tensor:
        """Embeddings of this process's samples; gradients may flow."""

    def logits(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scaled logits of all processes' samples with their captions, as the loss of this branch takes them."""


class VideoBranch:
    """Frames through the vision tower; temporal head and interaction on the gathered batch.

    Args:
        encoder, head: the model, on its device.
        ids: token ids of the class prompts, (K, 77).
        train_text: encode the captions again in each step, with gradients; otherwise once, here.
    """

    def __init__(
        self, encoder: Encoder, head: VideoHead, ids: Int64[Tensor, "K L"], *, train_text: bool = False
    ) -> None:
        self.encoder, self.head = encoder, head
        self.parts: dict[str, nn.Module] = {"encoder": encoder, "head": head}
        self.ids = ids.to(encoder.device)
        self.captions = None if train_text else encode_prompts(encoder, self.ids)

    def embed(self, inputs: UInt8[Tensor, "B T 3 S S"]) -> Float[Tensor, "B T D"]:
        """Frame features of B clips."""
        # Bytes travel, a quarter of what floats would be; page-locked ones while the GPU still computes.
        frames = normalize(inputs.to(self.encoder.device, non_blocking=True).flatten(0, 1))
        features = self.encoder.encode_image(frames)
        return features.view(*inputs.shape[:2], -1)

    def logits(self, embeddings: Float[Tensor, "B T D"], labels: Int64[Tensor, " B"]) -> Float[Tensor, "B B"]:
        """Scaled logits of B clips with the captions of their own classes; each distinct caption is compared once."""
        # With vcs each clip is compared with every token of a caption: a repeated one would cost as much again.
        present, places = torch.unique(labels, return_inverse=True)
        present, places = present.to(self.ids.device), places.to(self.ids.device)
        if self.captions is None:
            classes, tokens = self.encoder.encode_text(self.ids[present])
        else:
            classes, tokens = self.captions[0][present], self.captions[1][present]
        found: Tensor = self.head(embeddings, tokens, classes)
        return self.encoder.logit_scale.exp() * found[:, places]


class AttributeBranch:
    """Sentences of attributes against class prompts; both come from the frozen text tower, so both are encoded once.

    Args:
        encoder, head: the model; of the encoder only the logit scale is trained.
        classes: class embeddings (K, D).
        sentences: embeddings of the samples' sentences (N, D).
    """

    def __init__(
        self,
        encoder: Encoder,
        head: AttributeHead,
        classes: Float[Tensor, "K D"],
        sentences: Float[Tensor, "N D"],
    ) -> None:
        self.encoder, self.head = encoder, head
        self.parts: dict[str, nn.Module] = {"encoder": encoder, "head": head}
        self.classes, self.sentences = classes.to(encoder.device), sentences.to(encoder.device)

    def embed(self, inputs: Int64[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """The sentences' embeddings of B samples, given by their rows."""
        return self.sentences[inputs.to(self.sentences.device)]

    def logits(self, embeddings: Float[Tensor, "B D"], labels: Int64[Tensor, " B"]) -> Float[Tensor, "B B"]:
        """Scaled logits of B sentences with the prompts of their own classes."""
        present, places = torch.unique(labels, return_inverse=True)
        found: Tensor = self.head(self.classes[present.to(self.classes.device)], embeddings)
        return self.encoder.logit_scale.exp() * found[:, places.to(self.classes.device)]


def trained_parameters(branch: Branch) -> list[nn.Parameter]:
    """The parameters that training changes, in a fixed order: part by part."""
    return [p for part in branch.parts.values() for p in part.parameters() if p.requires_grad]


def trained_state(module: nn.Module) -> dict[str, Tensor]:
    """The parameters that training changes, by name. Nothing else changes: batch norms keep their statistics."""
    return {name: parameter.detach() for name, parameter in module.named_parameters() if parameter.requires_grad}


def choose_trained(encoder: Encoder, *, vision: bool, text: bool) -> None:
    """Freeze what a branch leaves alone; the logit scale is always trained."""
    for name, parameter in encoder.named_parameters():
        wanted = vision if name.startswith("visual.") else text or name == "logit_scale"
        parameter.requires_grad_(wanted)
