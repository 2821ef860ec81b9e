"""The configuration that Hugging Face and open_clip put beside the weights: is the encoder what it says?

A state dict doesn't hold the activation, the number of heads, the causal mask, how a tower pools, the epsilon of a
layer norm or the words behind the rows of its token table; another value of any of them loads without an error and
gives wrong features. So a configuration beside the file is read and compared. A key that is left out means what its
publisher's code takes then, and a key that is not known here must be off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bike.errors import WeightsError, first_few, one_line
from bike.files import read_json
from bike.model.formats.vocabulary import check_vocabulary
from bike.model.layers.architecture import Architecture
from bike.text.tokenizer import END_OF_TEXT

NUM_WORDS = END_OF_TEXT + 1
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of CLIP's pictures

# What open_clip's code does with keys that are left out, where that is not "nothing" (open_clip/model.py).
OPEN_CLIP = {"quick_gelu": False}
OPEN_CLIP_VISION = {"head_width": 64, "mlp_ratio": 4.0, "pos_embed_type": "learnable", "pool_type": "tok"}
OPEN_CLIP_TEXT = {"heads": 8, "mlp_ratio": 4.0, "proj_type": "linear", "pool_type": "argmax"}
# Keys that change nothing in the features of a plain CLIP: training, initialisation, and parts that are switched on by
# another key.
IDLE = {
    "model_cfg": ("vision_cfg", "text_cfg", "custom_text", "init_logit_scale", "output_dict", "cast_dtype"),
    "vision_cfg": (
        *("patch_dropout", "output_tokens", "attn_pooler_queries", "attn_pooler_heads", "timm_model_pretrained"),
        *("timm_pool", "timm_proj", "timm_proj_bias", "timm_drop", "timm_drop_path"),
    ),
    "text_cfg": ("output_tokens", "pad_id", "eos_id", "hf_model_pretrained", "hf_proj_type", "hf_pooler_type"),
}
# The same of Hugging Face (transformers/models/clip/configuration_clip.py); its files have dozens of keys of no meaning
# for CLIP, so only these are looked at.
HUGGING_FACE_TEXT = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "num_attention_heads": 8}
HUGGING_FACE_VISION = {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "num_attention_heads": 12}


def check_config(path: Path, architecture: Architecture, *, hugging_face: bool) -> None:
    """Compare what lies beside a weight file with the encoder that its tensors give.

    Args:
        path: the weight file; ``config.json`` (Hugging Face) or ``open_clip_config.json`` is sought beside it, and with
            one of them the files of a tokenizer and of Hugging Face's picture processor.
        architecture: as read from the tensors.
        hugging_face: the keys are Hugging Face's; otherwise only open_clip's file concerns these weights.

    Raises:
        WeightsError: the configuration describes another arithmetic, the pictures are normalised in another way, or the
            token table is not that of CLIP's tokenizer.
    """
    # Fewer rows can't go wrong in silence: texts are refused where they are tokenized.
    if architecture.vocab_size > NUM_WORDS:
        raise WeightsError(
            f"{path}: its token table has {architecture.vocab_size} rows, CLIP's tokenizer {NUM_WORDS} words; it was "
            "trained with another tokenizer. Choose other weights."
        )
    config = path.with_name("config.json" if hugging_face else "open_clip_config.json")
    if not config.is_file():
        return
    content = _object(read_json(config))
    if content is None:
        raise WeightsError(f"{config}: not a model configuration. Get the file again.")
    compare = _compare_hugging_face if hugging_face else _compare_open_clip
    _refuse(config, list(compare(content, architecture)))
    processor = path.with_name("preprocessor_config.json")
    if hugging_face and processor.is_file():
        _refuse(processor, list(_compare_pictures(_object(read_json(processor)) or {}, "image_mean", "image_std")))
    check_vocabulary(path.parent)


def _refuse(config: Path, differences: list[str]) -> None:
    if differences:
        raise WeightsError(
            f"{config}: {first_few(differences)}. Only OpenAI's CLIP architecture is supported; choose other weights."
        )


def _compare_hugging_face(content: dict[str, Any], architecture: Architecture) -> Iterator[str]:
    text = {
        "num_attention_heads": architecture.text_heads,
        "hidden_size": architecture.text_width,
        "num_hidden_layers": architecture.text_layers,
        "max_position_embeddings": architecture.context_length,
        "vocab_size": architecture.vocab_size,
    }
    vision = {
        "num_attention_heads": architecture.vision_heads,
        "hidden_size": architecture.vision_width,
        "num_hidden_layers": architecture.vision_layers,
        "image_size": architecture.input_size,
        "patch_size": architecture.patch_size,
    }
    yield from _differences("config", content, {}, {"model_type": ("clip",)})
    for tower, defaults, sizes in (("text", HUGGING_FACE_TEXT, text), ("vision", HUGGING_FACE_VISION, vision)):
        name = f"{tower}_config"
        section = _object(content.get(name, {}))
        # Files of old have a second section, whose values hold where both have the key.
        over = _object(content.get(f"{name}_dict") or {})
        if section is None or over is None:
            yield f"{name} is not a section"
            continue
        wanted: dict[str, tuple[Any, ...]] = {key: (value,) for key, value in {**defaults, **sizes}.items()}
        wanted["model_type"] = (f"clip_{tower}_model", "clip")
        if tower == "text":  # 2 stands for the highest id, in files of old; others for the first of that id
            wanted["eos_token_id"] = (2, END_OF_TEXT, None)
        yield from _differences(name, {**section, **over}, defaults, wanted)


def _compare_open_clip(content: dict[str, Any], architecture: Architecture) -> Iterator[str]:
    model = _object(content.get("model_cfg", content))
    vision, text = (_object((model or {}).get(name, {})) for name in ("vision_cfg", "text_cfg"))
    pictures = _object(content.get("preprocess_cfg", {}))
    if model is None or vision is None or text is None or pictures is None:
        yield "model_cfg, vision_cfg, text_cfg or preprocess_cfg is not a section"
        return
    layers, side = architecture.vision_layers, architecture.input_size
    # Section, its defaults, and what the encoder has.
    sections: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, tuple[Any, ...]]]] = {
        "model_cfg": (model, OPEN_CLIP, {"quick_gelu": (True,), "embed_dim": (architecture.embed_dim,)}),
        "vision_cfg": (
            vision,
            OPEN_CLIP_VISION,
            {
                "width": (architecture.vision_width,),
                "layers": (layers if isinstance(layers, int) else list(layers),),
                "image_size": (side, [side, side]),
                "patch_size": (architecture.patch_size,),
            },
        ),
        "text_cfg": (
            text,
            OPEN_CLIP_TEXT,
            {
                "width": (architecture.text_width,),
                "layers": (architecture.text_layers,),
                "context_length": (architecture.context_length,),
                "vocab_size": (architecture.vocab_size,),
                "heads": (architecture.text_heads,),
            },
        ),
    }
    for name, (section, defaults, sizes) in sections.items():
        wanted = {key: (value,) for key, value in defaults.items()} | sizes
        known = {*wanted, *IDLE[name], *(("preprocess_cfg",) if model is content else ())}
        yield from _differences(name, section, defaults, wanted)
        yield from (
            f"{name}.{_shown(key)} is {_shown(value)}" for key, value in section.items() if value and key not in known
        )
    yield from _compare_pictures(pictures, "mean", "std")


def _compare_pictures(content: dict[str, Any], *keys: str) -> Iterator[str]:
    for key, wanted in zip(keys, (MEAN, STD), strict=True):
        value = content.get(key, list(wanted))
        numbers = isinstance(value, list) and all(type(number) in (int, float) for number in value)
        near = numbers and len(value) == 3 and all(abs(a - b) < 1e-3 for a, b in zip(value, wanted, strict=True))
        if not near:
            yield f"{key} of the pictures is {_shown(value)}, the encoder gets {list(wanted)}"


def _differences(
    name: str, section: Mapping[str, Any], defaults: Mapping[str, Any], wanted: Mapping[str, tuple[Any, ...]]
) -> Iterator[str]:
    for key, values in wanted.items():
        if key not in section and key not in defaults:
            continue
        value = section[key] if key in section else defaults[key]
        # A number must be one: True equals 1 for Python.
        if not any(
            value is other or (value == other and isinstance(value, bool) == isinstance(other, bool))
            for other in values
        ):
            said = f"is {_shown(value)}" if key in section else f"is not given, which means {_shown(value)}"
            yield f"{name}.{key} {said}, the encoder has {values[0]}"


def _object(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


def _shown(value: Any) -> str:
    return one_line(value)[:60]
