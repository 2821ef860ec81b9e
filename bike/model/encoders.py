"""CLIP's two towers: pictures and token ids to one space of width D.

Parameters carry OpenAI's names, so that published state dicts load unchanged.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from bike.model.layers.architecture import Architecture
from bike.model.layers.blocks import Transformer
from bike.model.layers.resnet import ModifiedResNet


class VisionTransformer(nn.Module):
    """Patches and a class token through a transformer; the class token is projected to D."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width, patch = architecture.vision_width, architecture.patch_size
        if patch is None or not isinstance(architecture.vision_layers, int):
            raise ValueError("a vision transformer needs patch_size and one number of vision_layers")
        grid = architecture.input_size // patch
        scale = width**-0.5
        self.conv1 = nn.Conv2d(3, width, patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(nn.init.normal_(torch.empty(width), std=scale))
        self.positional_embedding = nn.Parameter(nn.init.normal_(torch.empty(grid * grid + 1, width), std=scale))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, architecture.vision_layers, architecture.vision_heads)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(nn.init.normal_(torch.empty(width, architecture.embed_dim), std=scale))

    def forward(self, frames: Float[Tensor, "N 3 S S"]) -> Float[Tensor, "N D"]:
        """Embed normalised pictures."""
        patches = self.conv1(frames).flatten(2).transpose(1, 2)
        first = self.class_embedding.to(patches.dtype).expand(patches.shape[0], 1, -1)
        x = self.ln_pre(torch.cat([first, patches], dim=1) + self.positional_embedding.to(patches.dtype))
        out: Tensor = self.ln_post(self.transformer(x, first_only=True)[:, 0]) @ self.proj
        return out


class Encoder(nn.Module):
    """CLIP: a vision tower and a causal text tower.

    Attributes:
        architecture: all widths and depths.
        embed_dim: width D of both outputs.
        input_size: side of the pictures, px.
        context_length: highest number of token positions.
        text_heads: attention heads of the text tower; the temporal head has as many.
        logit_scale: parameter; its exponential multiplies cosines in training.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.embed_dim = architecture.embed_dim
        self.input_size = architecture.input_size
        self.context_length = architecture.context_length
        self.text_heads = architecture.text_heads
        self.visual: VisionTransformer | ModifiedResNet
        if architecture.patch_size is None:
            self.visual = ModifiedResNet(architecture)
        else:
            self.visual = VisionTransformer(architecture)
        width, layers = architecture.text_width, architecture.text_layers
        self.transformer = Transformer(width, layers, architecture.text_heads, causal=True)
        self.token_embedding = nn.Embedding(architecture.vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(architecture.context_length, width))
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, architecture.embed_dim))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))  # a fresh CLIP's temperature is 0.07
        self._initialize_text()

    def _initialize_text(self) -> None:
        """Start the text tower as OpenAI's CLIP does; the vision towers initialise themselves."""
        width, layers = self.architecture.text_width, self.architecture.text_layers
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=width**-0.5)
        # Each of the 2 · layers branches adds to one residual stream: the smaller start keeps the sum's size.
        output_std = width**-0.5 * (2 * max(layers, 1)) ** -0.5
        for name, weight in self.transformer.named_parameters():
            if name.endswith("attn.in_proj_weight"):
                nn.init.normal_(weight, std=width**-0.5)
            elif name.endswith(("attn.out_proj.weight", "mlp.c_proj.weight")):
                nn.init.normal_(weight, std=output_std)
            elif name.endswith("mlp.c_fc.weight"):
                nn.init.normal_(weight, std=(2 * width) ** -0.5)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return self.visual.conv1.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.visual.conv1.weight.device

    def encode_image(self, frames: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N D"]:
        """Embed pictures that are normalised with CLIP's mean and deviation; the result is not normalised.

        Raises:
            ValueError: the pictures have another size.
        """
        if frames.shape[-2:] != (self.input_size, self.input_size):
            height, width = frames.shape[-2:]
            raise ValueError(f"frames: {width}x{height} px, but this encoder takes {self.input_size}x{self.input_size}")
        features: Tensor = self.visual(frames.to(self.dtype))
        return features

    def encode_text(self, ids: Int[Tensor, "M L"]) -> tuple[Float[Tensor, "M D"], Float[Tensor, "M L D"]]:
        """Embed token ids, at most ``context_length`` positions as the tokenizer gives them; nothing is normalised.

        Returns:
            Class embeddings (the position of the highest id, which is end-of-text) and token features of all positions,
            padding included.
        """
        tokens = self._text_states(ids) @ self.text_projection
        return tokens[torch.arange(len(ids), device=ids.device), ids.argmax(dim=-1)], tokens

    def embed_text(self, ids: Int[Tensor, "M L"]) -> Float[Tensor, "M D"]:
        """Class embeddings only: equal to the first result of :meth:`encode_text`, for less work.

        Under the causal mask no position after end-of-text matters, so the longest text sets the length.
        """
        ends = ids.argmax(dim=-1)
        length = int(ends.max()) + 1 if len(ids) else ids.shape[1]
        states = self._text_states(ids[:, :length])
        return states[torch.arange(len(ids), device=ids.device), ends] @ self.text_projection

    def set_checkpointing(self, enabled: bool = True) -> Encoder:
        """Recompute activations in the backward pass: less memory, about a third more time. Returns itself."""
        for module in self.modules():
            if isinstance(module, Transformer | ModifiedResNet):
                module.checkpointing = enabled
        return self

    def _text_states(self, ids: Int[Tensor, "M L"]) -> Float[Tensor, "M L W"]:
        if ids.shape[1] > self.context_length:
            raise ValueError(f"ids: {ids.shape[1]} positions, but this encoder takes at most {self.context_length}")
        x = self.token_embedding(ids) + self.positional_embedding[: ids.shape[1]]
        states: Tensor = self.ln_final(self.transformer(x))
        return states


def build(architecture: Architecture, *, device: torch.device | str = "cpu") -> Encoder:
    """A freshly initialised encoder, drawn from torch's global generator; ``device="meta"`` makes shapes only."""
    with torch.device(device):
        return Encoder(architecture)


@torch.no_grad()
def encode_prompts(
    encoder: Encoder, ids: Int[Tensor, "M L"], *, chunk: int = 256
) -> tuple[Float[Tensor, "M D"], Float[Tensor, "M L D"]]:
    """Embed many texts with a frozen text tower, ``chunk`` at a time, on the encoder's device and in fp32.

    Returns:
        Class embeddings and token features, as :meth:`Encoder.encode_text` gives them.
    """
    parts = [encoder.encode_text(part.to(encoder.device)) for part in torch.split(ids, chunk)]
    return torch.cat([part[0] for part in parts]).float(), torch.cat([part[1] for part in parts]).float()
