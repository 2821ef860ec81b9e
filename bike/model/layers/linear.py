"""Linear layers through the faster of the two matrix libraries that torch carries for CPUs.

``F.linear`` calls MKL for fp32, and MKL picks slow instructions on processors that are not Intel's: on a Zen 5 core
with AVX-512, oneDNN, which torch carries too, takes half the time for a forward pass and 0.55 of it with the backward
pass. So there, for fp32 outside of autocast, the product goes to oneDNN. Results differ by rounding only (about 1e-6).
With portable numerics MKL has slow instructions everywhere, and the processor's maker must not decide: oneDNN again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bike.runtime.numerics import chosen_numerics


def _mkl_is_slow_here() -> bool:
    """Whether torch has both libraries, and numerics are portable or the processor is AMD's."""
    if not (torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()):  # type: ignore[no-untyped-call]
        return False
    # The operator is private to torch, and may go with any release: then MKL does the work.
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    if chosen_numerics() == "portable":
        return True
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")[:2000]  # the first core says enough
    except OSError:
        return False
    return "AuthenticAMD" in text


USE_ONEDNN = _mkl_is_slow_here()
# Multiplications; for fewer, oneDNN's preparation costs more than it saves: where portable numerics slow MKL down, a
# product, its gradients included, takes 0.2 ms longer to start and a third of the time from there on.
LEAST_PRODUCTS = 2**20 if chosen_numerics() == "portable" else 2**22


class Linear(nn.Linear):
    """``nn.Linear`` by :func:`linear`."""

    def forward(self, x: Float[Tensor, "*N A"]) -> Float[Tensor, "*N E"]:
        """Map the last dimension."""
        return linear(x, self.weight, self.bias)


def linear(x: Float[Tensor, "*N A"], weight: Float[Tensor, "E A"], bias: Tensor | None = None) -> Float[Tensor, "*N E"]:
    """``x @ weight.T + bias``, as ``F.linear``."""
    plain = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    if USE_ONEDNN and plain and not torch.compiler.is_compiling() and x.numel() * len(weight) >= LEAST_PRODUCTS:
        # oneDNN takes a thousand times as long where rows do not lie side by side.
        flat = x.reshape(-1, x.shape[-1]).contiguous()
        rows: Tensor = OneDnnLinear.apply(flat, weight.contiguous(), bias)  # type: ignore[no-untyped-call]
        return rows if x.ndim == 2 else rows.view(*x.shape[:-1], -1)
    return F.linear(x, weight, bias)


class OneDnnLinear(torch.autograd.Function):
    """The product of rows (N, A) with weights (E, A), and its gradients, all three by oneDNN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The product."""
        ctx.save_for_backward(x, weight)
        return _multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Gradients of what needs them."""
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        # oneDNN copies the first factor when it is transposed: let that be the smaller one.
        swap = gradient.numel() - x.numel() > weight.numel()
        for_x, for_weight, for_bias = ctx.needs_input_grad
        return (
            _multiply(gradient, weight.T) if for_x else None,
            (_multiply(x.T, gradient.T).T if swap else _multiply(gradient.T, x.T)) if for_weight else None,
            gradient.sum(0) if for_bias else None,
        )


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return out
