"""The configuration that Hugging Face and open_clip put beside the weights: does our arithmetic agree with it?

A state dict doesn't hold the activation, the number of heads or the epsilon of a layer norm; another value of any of
them loads without an error and gives wrong features. So a configuration beside the file is read and compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bike.errors import WeightsError, first_few, one_line
from bike.files import read_json
from bike.model.layers.architecture import Architecture


def check_config(path: Path, architecture: Architecture, *, hugging_face: bool) -> None:
    """Compare the configuration beside a weight file with the architecture read from its tensors.

    Args:
        path: the weight file; ``config.json`` (Hugging Face) or ``open_clip_config.json`` is sought beside it.
        architecture: as read from the tensors.
        hugging_face: the keys are Hugging Face's; otherwise only open_clip's file concerns these weights.

    Raises:
        WeightsError: the configuration states another activation, number of heads, epsilon or size.
    """
    config = path.with_name("config.json" if hugging_face else "open_clip_config.json")
    if not config.is_file():
        return
    content = read_json(config)
    if not isinstance(content, dict):
        raise WeightsError(f"{config}: not a model configuration (got {type(content).__name__}).")
    differences = _compare_hugging_face(content, architecture) if hugging_face else _compare_open_clip(content)
    if differences:
        raise WeightsError(
            f"{config}: {first_few(differences)}. Only OpenAI's CLIP architecture is supported; choose other weights."
        )


def _compare_hugging_face(content: dict[str, Any], architecture: Architecture) -> list[str]:
    differences = []
    for tower, heads in (("text_config", architecture.text_heads), ("vision_config", architecture.vision_heads)):
        section = content.get(tower)
        section = section if isinstance(section, dict) else {}
        wanted = {"hidden_act": "quick_gelu", "num_attention_heads": heads, "layer_norm_eps": 1e-5}
        if tower == "vision_config":
            wanted["image_size"] = architecture.input_size
        differences += [
            f"{tower}.{key} is {one_line(section[key])[:40]}, the encoder has {value}"
            for key, value in wanted.items()
            if key in section and section[key] != value
        ]
    return differences


def _compare_open_clip(content: dict[str, Any]) -> list[str]:
    model = content.get("model_cfg", content)
    model = model if isinstance(model, dict) else {}
    vision = model.get("vision_cfg")
    vision = vision if isinstance(vision, dict) else {}
    differences = []
    if model.get("quick_gelu", False) is not True:  # open_clip's own default is the exact GELU
        differences.append("quick_gelu is not set, the encoder has QuickGELU")
    if vision.get("head_width", 64) != 64:  # such as ViT-H's 80
        differences.append(f"vision_cfg.head_width is {one_line(vision['head_width'])[:40]}, the encoder has 64")
    return differences
