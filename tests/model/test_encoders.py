"""CLIP's towers: shapes, masks, checkpointing, precision, and what is read from a state dict."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from helpers.models import RESNET, VIT, pictures, small, token_ids
from torch import Tensor

from bike.model.encoders import Encoder, build, encode_prompts
from bike.model.layers.architecture import Architecture

BOTH = pytest.mark.parametrize("architecture", [VIT, RESNET], ids=["vit", "resnet"])


@BOTH
def test_image_features_do_not_depend_on_the_batch(architecture: Architecture) -> None:
    encoder = small(architecture)
    frames = pictures(encoder)
    features = encoder.encode_image(frames)
    assert features.shape == (3, 24)
    torch.testing.assert_close(encoder.encode_image(frames[1:2]), features[1:2], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(features[0], features[1])


def test_pictures_and_texts_of_another_size_are_the_callers_bug() -> None:
    with pytest.raises(ValueError, match="8x16 px, but this encoder takes 16x16"):
        small().encode_image(torch.zeros(1, 3, 16, 8))
    with pytest.raises(ValueError, match="13 positions, but this encoder takes at most 12"):
        small().encode_text(torch.zeros(1, 13, dtype=torch.int64))


def test_text_is_causal_and_class_embedding_is_at_the_highest_id() -> None:
    encoder, ids = small(), token_ids()
    classes, tokens = encoder.encode_text(ids)
    assert tokens.shape == (5, 12, 24)
    ends = ids.argmax(dim=1)
    torch.testing.assert_close(classes, tokens[torch.arange(5), ends])
    changed = ids.clone()
    changed[:, -1] = 7  # after every end-of-text
    again, other = encoder.encode_text(changed)
    torch.testing.assert_close(again, classes)
    torch.testing.assert_close(other[:, :-1], tokens[:, :-1])
    assert not torch.allclose(other[:, -1], tokens[:, -1])


def test_class_embeddings_and_prompts_in_chunks_are_the_same() -> None:
    encoder, ids = small(), token_ids()
    torch.testing.assert_close(encoder.embed_text(ids), encoder.encode_text(ids)[0])
    assert encoder.embed_text(ids[:0]).shape == (0, 24)
    for got, wanted in zip(encode_prompts(encoder, ids, chunk=2), encoder.encode_text(ids), strict=True):
        assert not got.requires_grad
        torch.testing.assert_close(got, wanted)
    assert encode_prompts(encoder.bfloat16(), ids)[0].dtype == torch.float32


def step(encoder: Encoder, frames: Tensor, ids: Tensor) -> dict[str, Tensor]:
    encoder.zero_grad()
    images = F.normalize(encoder.encode_image(frames), dim=-1)
    texts = F.normalize(encoder.encode_text(ids[: len(frames)])[0], dim=-1)
    F.cross_entropy(encoder.logit_scale.exp() * images @ texts.T, torch.arange(len(frames))).backward()
    return {
        name: parameter.grad.clone() for name, parameter in encoder.named_parameters() if parameter.grad is not None
    }


@BOTH
def test_checkpointing_changes_neither_gradients_nor_statistics(architecture: Architecture) -> None:
    plain, saving = small(architecture).train(), small(architecture).train().set_checkpointing()
    frames, ids = pictures(plain), token_ids()
    wanted, got = step(plain, frames, ids), step(saving, frames, ids)
    assert wanted.keys() == got.keys() == dict(plain.named_parameters()).keys()
    for name in wanted:
        torch.testing.assert_close(got[name], wanted[name], atol=1e-6, rtol=1e-5)
    for (name, first), (_, second) in zip(plain.named_buffers(), saving.named_buffers(), strict=True):
        assert torch.equal(first, second), name


@BOTH
def test_checkpointing_keeps_fewer_tensors(architecture: Architecture) -> None:
    def kept(encoder: Encoder) -> int:
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            encoder.encode_image(pictures(encoder))
        return sum(sizes)

    assert kept(small(architecture).train().set_checkpointing()) < 0.5 * kept(small(architecture).train())


@BOTH
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, None], ids=["bf16", "fp16", "autocast"])
def test_half_precision_is_near_full(architecture: Architecture, dtype: torch.dtype | None) -> None:
    encoder = small(architecture)
    frames, ids = pictures(encoder), token_ids()
    with torch.no_grad():
        full = encoder.encode_image(frames), *encoder.encode_text(ids)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is None):
            encoder.to(dtype or torch.float32)
            half = encoder.encode_image(frames), *encoder.encode_text(ids)
    assert dtype is None or half[0].dtype == half[2].dtype == encoder.dtype == dtype
    for low, high in zip(half, full, strict=True):
        assert F.cosine_similarity(low.float(), high, dim=-1).min() > 0.995


def test_fresh_encoder_starts_as_openai_starts() -> None:
    torch.manual_seed(0)
    width, layers = 256, 4
    shape = {"embed_dim": 128, "input_size": 32, "vision_layers": 2, "vision_width": 128, "patch_size": 8}
    fresh = build(Architecture(**shape, text_width=width, text_layers=layers))
    block = fresh.transformer.resblocks[0]
    expected = {
        fresh.token_embedding.weight: 0.02,
        fresh.positional_embedding: 0.01,
        fresh.text_projection: width**-0.5,
        block.attn.in_proj_weight: width**-0.5,
        block.attn.out_proj.weight: width**-0.5 * (2 * layers) ** -0.5,
        block.mlp.c_fc.weight: (2 * width) ** -0.5,
        block.mlp.c_proj.weight: width**-0.5 * (2 * layers) ** -0.5,
        fresh.visual.positional_embedding: 128**-0.5,
        fresh.visual.proj: 128**-0.5,
    }
    for weight, std in expected.items():
        assert weight.std().item() == pytest.approx(std, rel=0.05)
    assert fresh.logit_scale.exp().item() == pytest.approx(1 / 0.07)
    assert fresh.text_heads == 4
