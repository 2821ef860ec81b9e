"""The video head and the attribute head against their definitions, written out plainly."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bike.model import heads
from bike.model.heads import AttributeHead, VideoHead

B, T, K, L, D = 3, 5, 7, 6, 16


@pytest.fixture
def features() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((B, T, D), (K, L, D), (K, D))
    frames, tokens, classes = (3 * torch.randn(*shape, generator=generator) for shape in shapes)
    return frames, tokens, classes


def spot_one_by_one(frames: Tensor, tokens: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Video concept spotting, pair by pair."""
    frames, tokens, classes = (F.normalize(x, dim=-1) for x in (frames, tokens, classes))
    logits, weights = torch.zeros(B, K), torch.zeros(B, K, T)
    for b in range(B):
        for k in range(K):
            alpha = torch.softmax(tokens[k] @ frames[b].T / 0.01, dim=-1).mean(0)
            weights[b, k] = alpha
            logits[b, k] = (alpha @ frames[b]) @ classes[k]
    return logits, weights


@pytest.mark.parametrize("limit", [1, 2 * B * T * L, 10**9])
def test_concept_spotting_is_its_definition_whatever_the_chunks_of_classes(
    features: tuple[Tensor, Tensor, Tensor], limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "CHUNK_ELEMENTS", limit)
    head = VideoHead(D, 1, "none", "vcs")
    assert not list(head.parameters())
    logits, weights = spot_one_by_one(*features)
    torch.testing.assert_close(head(*features), logits)
    torch.testing.assert_close(head.saliency(*features), weights)

    inputs = [x.clone().requires_grad_() for x in features]
    weight = torch.linspace(-1, 1, B * K).view(B, K)
    got = torch.autograd.grad((head(*inputs) * weight).sum(), inputs)
    again = [x.clone().requires_grad_() for x in features]
    wanted = torch.autograd.grad((spot_one_by_one(*again)[0] * weight).sum(), again)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_dot_product_is_the_cosine_of_the_mean(features: tuple[Tensor, Tensor, Tensor]) -> None:
    frames, _, classes = features
    logits = VideoHead(D, 1, "none", "dp")(frames, None, classes)
    torch.testing.assert_close(logits, F.cosine_similarity(frames.mean(1)[:, None], classes[None], dim=-1))


def test_saliency_is_even_for_dot_product(features: tuple[Tensor, Tensor, Tensor]) -> None:
    even = VideoHead(D, 2, interaction="dp").saliency(features[0], None, features[2])
    assert torch.equal(even, torch.full((B, K, T), 1 / T))


def test_temporal_head_sees_order_and_no_head_does_not(features: tuple[Tensor, Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    frames, tokens, classes = features
    plain, mixing = VideoHead(D, 2, "none"), VideoHead(D, 2, "transf")
    with torch.no_grad():
        mixing.frame_position_embeddings.weight.mul_(50)
    backwards = frames.flip(1)
    torch.testing.assert_close(plain(backwards, tokens, classes), plain(frames, tokens, classes))
    difference = mixing(backwards, tokens, classes) - mixing(frames, tokens, classes)
    assert difference.abs().max() > 1e-3


def test_temporal_head_starts_as_published() -> None:
    torch.manual_seed(0)
    head = VideoHead(64, 2)
    assert len(head.transformer.resblocks) == 6
    assert head.frame_position_embeddings.weight.shape == (77, 64)
    for name, parameter in head.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif "in_proj" in name:
            assert parameter.std().item() == pytest.approx((2 / (64 + 192)) ** 0.5, rel=0.05)
        elif ".ln_" not in name:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1), name
    assert head.transformer.resblocks[0].ln_1.eps == 1e-12


def test_too_many_frames_and_missing_tokens(features: tuple[Tensor, Tensor, Tensor]) -> None:
    _, tokens, classes = features
    with pytest.raises(ValueError, match="78 of them; the position table has 77 rows"):
        VideoHead(D, 2)(torch.zeros(1, 78, D), tokens, classes)
    with pytest.raises(ValueError, match="needs token features"):
        VideoHead(D, 2)(torch.zeros(1, 4, D), None, classes)
    with pytest.raises((ValueError, TypeError), match="lstm"):
        VideoHead(D, 2, "lstm")  # type: ignore[arg-type]
    with pytest.raises((ValueError, TypeError), match="mean"):
        VideoHead(D, 2, "none", "mean")  # type: ignore[arg-type]


@pytest.mark.parametrize("interaction", ["vcs", "dp"])
def test_interaction_stays_in_full_precision_under_autocast(
    features: tuple[Tensor, Tensor, Tensor], interaction: str
) -> None:
    head = VideoHead(D, 1, "none", interaction)  # type: ignore[arg-type]
    wanted = head(*features)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(head(*features), wanted)


def test_attribute_head_is_its_definition() -> None:
    torch.manual_seed(0)
    head = AttributeHead(D)
    classes, sentences = 5 * torch.randn(K, D), 5 * torch.randn(B, D)

    def mlp(x: Tensor, first: torch.nn.Linear, second: torch.nn.Linear) -> Tensor:
        hidden = (x / x.norm(dim=-1, keepdim=True)) @ first.weight.T + first.bias
        return hidden.clamp(min=0) @ second.weight.T + second.bias

    queries, found = mlp(classes, *head.query_fc[::2]), mlp(sentences, *head.sentence_fc[::2])
    wanted = F.cosine_similarity(found[:, None], queries[None], dim=-1)
    torch.testing.assert_close(head(classes, sentences), wanted)
    assert not any(bool(layer.bias.any()) for layer in (*head.query_fc[::2], *head.sentence_fc[::2]))
    assert set(head.state_dict()) == {
        f"{name}_fc.{layer}.{kind}" for name in ("query", "sentence") for layer in (0, 2) for kind in ("weight", "bias")
    }
