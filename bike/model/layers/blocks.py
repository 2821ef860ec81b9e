"""Residual attention blocks, shared by CLIP's two towers and the temporal head."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from bike.model.layers.linear import Linear, linear


class Attention(nn.Module):
    """Multi-head self-attention: one fused projection, then ``scaled_dot_product_attention``.

    Parameters have the names and the initialisation of ``nn.MultiheadAttention``.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"width: {width} is not a multiple of num_heads {num_heads}")
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self, x: Float[Tensor, "N L W"], causal: bool = False, first_only: bool = False
    ) -> Float[Tensor, "N Q W"]:
        """Attend over the positions L, all of them or the first alone (Q is 1); ``causal`` hides the later ones."""
        if causal and first_only:
            x = x[:, :1]  # the first position sees nothing but itself
        num, length, width = x.shape
        weight, bias, shape = self.in_proj_weight, self.in_proj_bias, (self.num_heads, width // self.num_heads)
        if first_only:
            query = linear(x[:, :1], weight[:width], bias[:width]).view(num, 1, *shape).transpose(1, 2)
            both = linear(x, weight[width:], bias[width:]).view(num, length, 2, *shape)
            key, value = both.permute(2, 0, 3, 1, 4).unbind(0)
        else:
            qkv = linear(x, weight, bias).view(num, length, 3, *shape)
            query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=causal and not first_only)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(num, query.shape[2], width))
        return out


def quick_gelu(x: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """``x * sigmoid(1.702 x)``; without gradients ``x`` itself is overwritten."""
    if torch.is_grad_enabled():
        out: Tensor = _QuickGelu.apply(x)  # type: ignore[no-untyped-call]
        return out
    # x is the first layer's own result, which nothing else reads: no second tensor of 4 W numbers a position.
    return F.silu(x.mul_(1.702), inplace=True).mul_(1 / 1.702)


class _QuickGelu(torch.autograd.Function):
    """QuickGELU as silu(1.702 x) / 1.702: the factors cancel in the gradient, and one tensor is kept, not three."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        scaled = x * 1.702
        ctx.save_for_backward(scaled)
        return F.silu(scaled).mul_(1 / 1.702)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (scaled,) = ctx.saved_tensors
        out: Tensor = torch.ops.aten.silu_backward(gradient, scaled)
        return out


class Mlp(nn.Module):
    """Two linear layers with QuickGELU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = Linear(width, 4 * width)
        self.c_proj = Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "N L W"]) -> Float[Tensor, "N L W"]:
        """Map each position on its own."""
        out: Tensor = self.c_proj(quick_gelu(self.c_fc(x.flatten(0, 1))))
        return out.view(x.shape)


class Block(nn.Module):
    """Pre-norm residual block: attention, then MLP."""

    def __init__(self, width: int, num_heads: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.attn = Attention(width, num_heads)
        self.ln_1 = nn.LayerNorm(width, eps=eps)
        self.mlp = Mlp(width)
        self.ln_2 = nn.LayerNorm(width, eps=eps)

    def forward(
        self, x: Float[Tensor, "N L W"], causal: bool = False, first_only: bool = False
    ) -> Float[Tensor, "N Q W"]:
        """One step of the residual stream, of all positions or of the first alone (Q is 1)."""
        mixed = self.attn(self.ln_1(x), causal, first_only)
        x = (x[:, :1] if first_only else x) + mixed  # not in place: the caller's x stays as it was
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class Transformer(nn.Module):
    """A stack of :class:`Block`.

    Attributes:
        checkpointing: recompute each block's activations in the backward pass instead of keeping them.
    """

    def __init__(self, width: int, num_layers: int, num_heads: int, *, causal: bool = False, eps: float = 1e-5) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, num_heads, eps) for _ in range(num_layers))
        self.causal = causal
        self.checkpointing = False

    def forward(self, x: Float[Tensor, "N L W"], first_only: bool = False) -> Float[Tensor, "N Q W"]:
        """Run all blocks in turn.

        With ``first_only`` the last block computes the first position alone, since no other depends on it there. That
        spares five sixths of a block.
        """
        last = len(self.resblocks) - 1
        for number, block in enumerate(self.resblocks):
            alone = first_only and number == last
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, self.causal, alone, use_reentrant=False)
            else:
                x = block(x, self.causal, alone)
        return x
