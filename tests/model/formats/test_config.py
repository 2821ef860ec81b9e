"""An encoder is what the configuration beside its weights says, or it is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.models import VIT, hugging_face_folder, open_clip_config, same_encoder, small
from safetensors.torch import save_file

from bike.errors import WeightsError
from bike.model.encoders import Encoder, build
from bike.model.formats.inspect import inspect_weights
from bike.model.weights import load_clip


def changed(tree: dict[str, Any], place: str, value: object) -> dict[str, Any]:
    """The tree with another value at ``a.b``; the text "gone" takes the key away."""
    first, _, rest = place.partition(".")
    if rest:
        return {**tree, first: changed(tree[first], rest, value)}
    return {key: old for key, old in {**tree, first: value}.items() if old != "gone"}


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        ("model_cfg.quick_gelu", "gone", "quick_gelu is not given, which means False, the encoder has True"),
        ("model_cfg.quick_gelu", 1, "quick_gelu is 1"),
        ("model_cfg.embed_dim", 512, "embed_dim is 512, the encoder has 24"),
        ("model_cfg.multimodal_cfg", {"width": 8}, "multimodal_cfg is"),
        ("model_cfg.vision_cfg.head_width", 80, "head_width is 80"),
        ("model_cfg.vision_cfg.pool_type", "avg", "pool_type is avg, the encoder has tok"),
        ("model_cfg.vision_cfg.no_ln_pre", True, "no_ln_pre is True"),
        ("model_cfg.vision_cfg.final_ln_after_pool", True, "final_ln_after_pool is True"),
        ("model_cfg.vision_cfg.attentional_pool", True, "attentional_pool is True"),
        ("model_cfg.vision_cfg.norm_kwargs", {"eps": 1e-6}, "norm_kwargs is {'eps': 1e-06}"),
        ("model_cfg.vision_cfg.act_kwargs", {"approximate": "tanh"}, "act_kwargs is"),
        ("model_cfg.vision_cfg.pos_embed_type", "sin_cos_2d", "pos_embed_type is sin_cos_2d"),
        ("model_cfg.vision_cfg.timm_model_name", "vit", "timm_model_name is vit"),
        ("model_cfg.vision_cfg.image_size", 224, "image_size is 224"),
        ("model_cfg.text_cfg.heads", 4, "heads is 4, the encoder has 2"),
        ("model_cfg.text_cfg.heads", "gone", "heads is not given, which means 8, the encoder has 2"),
        ("model_cfg.text_cfg.no_causal_mask", True, "no_causal_mask is True"),
        ("model_cfg.text_cfg.pool_type", "eos", "pool_type is eos, the encoder has argmax"),
        ("model_cfg.text_cfg.embed_cls", True, "embed_cls is True"),
        ("model_cfg.text_cfg.proj_bias", True, "proj_bias is True"),
        ("model_cfg.text_cfg.vocab_size", 49408, "vocab_size is 49408, the encoder has 50"),
        ("model_cfg.text_cfg.context_length", 77, "context_length is 77, the encoder has 12"),
        ("model_cfg.text_cfg.hf_tokenizer_name", "xlm-v-base", "hf_tokenizer_name is xlm-v-base"),
        ("model_cfg.text_cfg.tokenizer_kwargs", {"clean": "whitespace"}, "tokenizer_kwargs is"),
        ("model_cfg.text_cfg.something_new", 3, "something_new is 3"),
        ("model_cfg.text_cfg", 3, "is not a section"),
        ("preprocess_cfg.mean", [0.5, 0.5, 0.5], "mean of the pictures is [0.5, 0.5, 0.5]"),
        ("preprocess_cfg.std", "x", "std of the pictures is x"),
    ],
)
def test_open_clip(tmp_path: Path, encoder: Encoder, place: str, value: object, problem: str) -> None:
    save_file(encoder.state_dict(), tmp_path / "open_clip_model.safetensors")
    path = tmp_path / "open_clip_config.json"
    path.write_text(json.dumps(changed(open_clip_config(encoder), "model_cfg.vision_cfg.patch_dropout", 0.5)))
    assert same_encoder(load_clip(tmp_path), encoder)
    path.write_text(json.dumps(changed(open_clip_config(encoder), place, value)))
    said, _ = inspect_weights(tmp_path).problems  # the other is the small vocabulary
    assert problem in said
    with pytest.raises(WeightsError, match="open_clip_config.json"):
        load_clip(tmp_path)


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        ("vision_config.hidden_act", "gelu", "vision_config.hidden_act is gelu, the encoder has quick_gelu"),
        ("text_config.num_attention_heads", 4, "num_attention_heads is 4"),
        (
            "text_config.num_attention_heads",
            "gone",
            "num_attention_heads is not given, which means 8, the encoder has 2",
        ),
        ("vision_config.num_attention_heads", "gone", "not given, which means 12, the encoder has 1"),
        ("vision_config.layer_norm_eps", 1e-6, "layer_norm_eps is 1e-06"),
        ("vision_config.image_size", 224, "image_size is 224"),
        ("text_config.eos_token_id", 7, "eos_token_id is 7"),
        ("text_config.vocab_size", 49408, "vocab_size is 49408"),
        ("text_config_dict", {"hidden_act": "gelu"}, "text_config.hidden_act is gelu"),
        ("model_type", "siglip", "model_type is siglip"),
        ("vision_config.model_type", "siglip_vision_model", "model_type is siglip_vision_model"),
        ("text_config", [], "text_config is not a section"),
    ],
)
def test_hugging_face(tmp_path: Path, encoder: Encoder, place: str, value: object, problem: str) -> None:
    folder = hugging_face_folder(tmp_path / "clip", encoder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(changed(config, place, value)))
    with pytest.raises(WeightsError, match="config.json: ") as caught:
        load_clip(folder)
    assert problem in str(caught.value)


def test_pictures_that_hugging_face_normalises_in_another_way(tmp_path: Path, encoder: Encoder) -> None:
    folder = hugging_face_folder(tmp_path / "clip", encoder)
    (folder / "preprocessor_config.json").write_text('{"image_std": [0.5, 0.5, 0.5]}')
    with pytest.raises(WeightsError, match=r"preprocessor_config.json: image_std of the pictures is \[0.5, 0.5, 0.5\]"):
        load_clip(folder)


@pytest.mark.parametrize("content", ["[]", "3", "{", "[" * 10_000])
def test_what_is_no_configuration(tmp_path: Path, encoder: Encoder, content: str) -> None:
    folder = hugging_face_folder(tmp_path / "clip", encoder)
    (folder / "config.json").write_text(content)
    with pytest.raises(Exception, match=r"config.json: (not a model configuration|not valid JSON)") as caught:
        load_clip(folder)
    assert len(str(caught.value)) < 300


def test_token_tables_of_other_tokenizers(tmp_path: Path) -> None:
    """More rows would take CLIP's ids for other words in silence; with fewer, texts are refused."""
    save_file(build(replace(VIT, vocab_size=49_500, text_width=64)).state_dict(), tmp_path / "large.safetensors")
    with pytest.raises(WeightsError, match="its token table has 49500 rows, CLIP's tokenizer 49408 words"):
        load_clip(tmp_path / "large.safetensors")
    save_file(small().state_dict(), tmp_path / "small.safetensors")
    (problem,) = inspect_weights(tmp_path / "small.safetensors").problems
    assert problem == "can't read CLIP's tokens: 50 words in its vocabulary; CLIP's has 49408"
    shape = replace(VIT, vocab_size=49_408, text_width=64, context_length=16)
    save_file(build(shape).state_dict(), tmp_path / "short.safetensors")
    found = inspect_weights(tmp_path / "short.safetensors")
    assert (found.notes, found.problems) == (["texts are cut to 16 tokens; CLIP's own have 77"], [])
