"""Key names of other publishers to OpenAI's."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

# Not weights: numbers beside the weights in OpenAI's archives, causal masks, Hugging Face's row numbers.
NO_WEIGHTS = re.compile(r"(?:^|\.)(?:input_resolution|context_length|vocab_size|attn_mask|position_ids)$")

WRAPPERS = ("module.", "_orig_mod.", "model.")
# Hugging Face's CLIPModel; q_proj, k_proj and v_proj, which OpenAI keeps as one, are joined below.
HUGGING_FACE: tuple[tuple[str, str], ...] = (
    (r"text_model\.embeddings\.token_embedding\.weight", "token_embedding.weight"),
    (r"text_model\.embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"text_model\.final_layer_norm\.(weight|bias)", r"ln_final.\1"),
    (r"text_model\.encoder\.layers\.(\d+)\.(.+)", r"transformer.resblocks.\1.\2"),
    (r"vision_model\.embeddings\.class_embedding", "visual.class_embedding"),
    (r"vision_model\.embeddings\.patch_embedding\.weight", "visual.conv1.weight"),
    (r"vision_model\.embeddings\.position_embedding\.weight", "visual.positional_embedding"),
    (r"vision_model\.pre_layrnorm\.(weight|bias)", r"visual.ln_pre.\1"),  # spelt so there
    (r"vision_model\.post_layernorm\.(weight|bias)", r"visual.ln_post.\1"),
    (r"vision_model\.encoder\.layers\.(\d+)\.(.+)", r"visual.transformer.resblocks.\1.\2"),
)
HUGGING_FACE_BLOCK: tuple[tuple[str, str], ...] = (
    (".self_attn.out_proj.", ".attn.out_proj."),
    (".layer_norm1.", ".ln_1."),
    (".layer_norm2.", ".ln_2."),
    (".mlp.fc1.", ".mlp.c_fc."),
    (".mlp.fc2.", ".mlp.c_proj."),
)


def openai_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors of any known CLIP OpenAI's names, and drop what is not a weight.

    Known are OpenAI's own names, Hugging Face's ``CLIPModel``, open_clip's (also with its ``text.`` prefix), and all of
    them behind the prefixes of :func:`strip_prefix`. Keys of none of these stay as they are.
    """
    state = {key: value for key, value in strip_prefix(state).items() if not NO_WEIGHTS.search(key)}
    if is_hugging_face(state):
        return _from_hugging_face(state)
    if "text.token_embedding.weight" in state:
        return {key.removeprefix("text."): value for key, value in state.items()}
    return state


def is_hugging_face(state: Mapping[str, Tensor]) -> bool:
    """Whether the keys are those of Hugging Face's ``CLIPModel``."""
    return "text_model.embeddings.token_embedding.weight" in state


def strip_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove what wraps a model in front of every key: ``module.`` (DistributedDataParallel), ``_orig_mod.``
    (``torch.compile``), ``model.`` (Lightning), in any order.
    """
    stripped = dict(state)
    while stripped:
        first = next(iter(stripped))
        prefix = next((each for each in WRAPPERS if first.startswith(each)), None)
        if prefix is None or not all(key.startswith(prefix) for key in stripped):
            break
        stripped = {key.removeprefix(prefix): value for key, value in stripped.items()}
    return stripped


def _from_hugging_face(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        if key in ("text_projection.weight", "visual_projection.weight") and value.ndim == 2:
            # Hugging Face has linear layers here, whose weights are (out, in); OpenAI multiplies by a matrix (in, out).
            found["text_projection" if key.startswith("text") else "visual.proj"] = value.T.contiguous()
            continue
        name = _rename(key)
        match = re.fullmatch(r"(.+)\.self_attn\.([qkv])_proj\.(weight|bias)", name)
        if match:
            parts.setdefault(f"{match[1]}.attn.in_proj_{match[3]}", {})[match[2]] = value
        else:
            found[name] = value
    for name, of in parts.items():
        shapes = {tuple(value.shape) for value in of.values()}
        if len(of) == 3 and len(shapes) == 1 and () not in shapes:  # torch.cat takes no scalars
            found[name] = torch.cat([of["q"], of["k"], of["v"]])
        else:  # left as they are, to be named as unexpected
            found.update({f"{name} ({part})": value for part, value in of.items()})
    return found


def _rename(key: str) -> str:
    for pattern, replacement in HUGGING_FACE:
        if match := re.fullmatch(pattern, key):
            name = match.expand(replacement)
            for old, new in HUGGING_FACE_BLOCK:
                name = name.replace(old, new)
            return name
    return key
