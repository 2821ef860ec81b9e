"""Small CLIPs for the model's tests, and the same weights as other publishers write them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bike.model.encoders import Encoder, build
from bike.model.layers.architecture import Architecture

VIT = Architecture(
    embed_dim=24,
    input_size=16,
    vision_layers=2,
    vision_width=64,
    patch_size=8,
    text_width=128,
    text_layers=2,
    context_length=12,
    vocab_size=50,
)
RESNET = Architecture(
    embed_dim=24,
    input_size=64,
    vision_layers=(1, 2, 1, 1),
    vision_width=8,
    patch_size=None,
    text_width=64,
    text_layers=1,
    context_length=12,
    vocab_size=50,
)


def small(architecture: Architecture = VIT) -> Encoder:
    """A small encoder whose weights all differ from their defaults, and are exact in fp16."""
    torch.manual_seed(0)
    encoder = build(architecture).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter)).copy_(parameter.half())
        for buffer in encoder.buffers():
            if buffer.is_floating_point():
                buffer.add_(0.1 * torch.rand_like(buffer)).copy_(buffer.half())
    return encoder


def token_ids() -> Tensor:
    """Five texts of different lengths: words, end-of-text (the highest id), zeros."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.zeros(5, 12, dtype=torch.int64)
    for row, words in enumerate(range(2, 7)):
        ids[row, :words] = torch.randint(1, 49, (words,), generator=generator)
        ids[row, words] = 49
    return ids


def pictures(encoder: Encoder) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(3, 3, encoder.input_size, encoder.input_size, generator=generator)


def half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.half() if value.is_floating_point() else value for key, value in state.items()}


class Tree(nn.Module):
    """A module of nothing but a state dict, nested as its keys say."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def tree(state: Mapping[str, Tensor]) -> Tree:
    root = Tree()
    for key, value in state.items():
        *path, leaf = key.split(".")
        place: nn.Module = root
        for part in path:
            if part not in dict(place.named_children()):
                place.add_module(part, Tree())
            place = place.get_submodule(part)
        if value.is_floating_point() and "running" not in leaf:
            place.register_parameter(leaf, nn.Parameter(value))
        else:
            place.register_buffer(leaf, value)
    return root


def save_archive(path: Path, encoder: Encoder) -> Path:
    """Write a TorchScript archive as OpenAI does: fp16, three extra entries, a causal mask that is no weight."""
    module = tree(half(encoder.state_dict()))
    module.register_buffer("input_resolution", torch.tensor(encoder.input_size))
    module.register_buffer("context_length", torch.tensor(encoder.context_length))
    module.register_buffer("vocab_size", torch.tensor(encoder.architecture.vocab_size))
    block = module.get_submodule("transformer.resblocks.0")
    block.attn_mask = torch.full((4, 4), float("-inf")).triu(1)  # type: ignore[assignment]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated; the files stay
        torch.jit.save(torch.jit.script(module), str(path))
    return path


def hugging_face_state(encoder: Encoder) -> dict[str, Tensor]:
    """The weights of a vision transformer's CLIP under the names of Hugging Face's CLIPModel."""
    found: dict[str, Tensor] = {}
    direct = {
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "ln_final.weight": "text_model.final_layer_norm.weight",
        "ln_final.bias": "text_model.final_layer_norm.bias",
        "logit_scale": "logit_scale",
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
        "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
        "visual.ln_post.weight": "vision_model.post_layernorm.weight",
        "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    }
    inside = {
        "attn.out_proj": "self_attn.out_proj",
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    for key, value in encoder.state_dict().items():
        if key in direct:
            found[direct[key]] = value
        elif key in ("text_projection", "visual.proj"):
            found[("text" if key.startswith("text") else "visual") + "_projection.weight"] = value.T.contiguous()
        else:
            tower = "vision_model" if key.startswith("visual.") else "text_model"
            layer, rest = key.removeprefix("visual.").removeprefix("transformer.resblocks.").split(".", 1)
            place = f"{tower}.encoder.layers.{layer}"
            if "in_proj" in rest:
                for name, part in zip("qkv", value.chunk(3), strict=True):
                    found[f"{place}.self_attn.{name}_proj.{rest.rsplit('_', 1)[1]}"] = part.clone()
            else:
                module, leaf = rest.rsplit(".", 1)
                found[f"{place}.{inside[module]}.{leaf}"] = value
    found["text_model.embeddings.position_ids"] = torch.arange(encoder.context_length)[None]
    found["vision_model.embeddings.position_ids"] = torch.arange(5)[None]
    return found


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    one, two = first.state_dict(), second.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def same_encoder(loaded: Encoder, expected: Encoder) -> bool:
    assert not loaded.training
    assert loaded.dtype == torch.float32
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    frames, ids = pictures(expected), token_ids()
    with torch.no_grad():
        assert torch.equal(loaded.encode_image(frames), expected.encode_image(frames))
        assert torch.equal(loaded.encode_text(ids)[1], expected.encode_text(ids)[1])
    return same_weights(loaded, expected)


def hugging_face_folder(folder: Path, encoder: Encoder, **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    save_file(hugging_face_state(encoder), folder / "model.safetensors")
    text = {"hidden_act": "quick_gelu", "num_attention_heads": encoder.text_heads, "layer_norm_eps": 1e-05}
    vision = {"hidden_act": "quick_gelu", "num_attention_heads": 1, "layer_norm_eps": 1e-05, "image_size": 16}
    config = {"architectures": ["CLIPModel"], "text_config": text, "vision_config": {**vision, **changes}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def open_clip_config(encoder: Encoder) -> dict[str, Any]:
    """What open_clip writes beside the weights of a small vision transformer."""
    shape = encoder.architecture
    vision = {"image_size": shape.input_size, "layers": 2, "width": shape.vision_width, "patch_size": shape.patch_size}
    text = {"context_length": 12, "vocab_size": 50, "width": shape.text_width, "heads": 2, "layers": 2}
    model = {"embed_dim": shape.embed_dim, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}
    return {"model_cfg": model, "preprocess_cfg": {"mean": [0.48145466, 0.4578275, 0.40821073]}}
