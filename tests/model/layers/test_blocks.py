"""Attention and residual blocks, against torch's own and their definition."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from bike.model.layers.blocks import Attention, Block, Transformer


def test_attention_is_and_starts_as_that_of_multihead_attention() -> None:
    torch.manual_seed(0)
    ours, theirs = Attention(48, 3), nn.MultiheadAttention(48, 3, batch_first=True)
    bound = math.sqrt(6 / (48 + 144))
    assert ours.in_proj_weight.abs().max() <= bound
    assert ours.in_proj_weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 5, 48)
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0])
    mask = torch.full((5, 5), -math.inf).triu(1)
    torch.testing.assert_close(ours(x, causal=True), theirs(x, x, x, attn_mask=mask)[0])
    torch.testing.assert_close(ours(x, causal=True, first_only=True), ours(x, causal=True)[:, :1])


def test_the_first_position_alone_is_the_same() -> None:
    torch.manual_seed(0)
    transformer = Transformer(32, 3, 2)
    x = torch.randn(2, 5, 32)
    everything, alone = transformer(x)[:, :1], transformer(x, first_only=True)
    assert alone.shape == (2, 1, 32)
    torch.testing.assert_close(alone, everything)
    wanted = torch.autograd.grad(everything.square().sum(), list(transformer.parameters()))
    got = torch.autograd.grad(alone.square().sum(), list(transformer.parameters()))
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_attention_refuses_heads_that_do_not_divide_the_width() -> None:
    with pytest.raises(ValueError, match="num_heads 3"):
        Attention(64, 3)


def test_block_uses_quick_gelu_and_leaves_its_input_alone() -> None:
    torch.manual_seed(0)
    block = Block(32, 2)
    x = torch.randn(2, 3, 32, requires_grad=True)
    before = x.detach().clone()
    mixed = x + block.attn(block.ln_1(x))
    hidden = block.mlp.c_fc(block.ln_2(mixed))
    expected = mixed + block.mlp.c_proj(hidden * torch.sigmoid(1.702 * hidden))
    torch.testing.assert_close(block(x), expected)
    (wanted,) = torch.autograd.grad(expected.square().sum(), x)
    (got,) = torch.autograd.grad(block(x).square().sum(), x)
    torch.testing.assert_close(got, wanted)
    assert torch.equal(x, before)
