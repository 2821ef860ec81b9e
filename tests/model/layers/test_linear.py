"""Both ways to multiply agree, in value and gradient, for every layout that the towers use."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bike.model.layers import linear as encoders_linear
from bike.model.layers.blocks import quick_gelu
from bike.model.layers.linear import Linear, linear

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"),
    reason="this torch has no oneDNN",
)


@pytest.fixture
def onednn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Send every product to oneDNN; the list fills with the shapes that went there."""
    monkeypatch.setattr(encoders_linear, "USE_ONEDNN", True)
    monkeypatch.setattr(encoders_linear, "LEAST_PRODUCTS", 1)
    seen: list[tuple[int, ...]] = []
    apply = encoders_linear.OneDnnLinear.apply
    monkeypatch.setattr(
        encoders_linear.OneDnnLinear, "apply", lambda x, *rest: (seen.append(tuple(x.shape)), apply(x, *rest))[1]
    )
    return seen


def gradients(out: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    weight = torch.linspace(-1, 1, out.numel()).view(out.shape)
    return torch.autograd.grad((out * weight).sum(), inputs)


def same(got: Tensor, wanted: Tensor, *inputs: Tensor) -> None:
    """Both are alike, and their gradients in each input."""
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-5)
    for one, other in zip(gradients(got, *inputs), gradients(wanted, *inputs), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-5)


@needs_onednn
@pytest.mark.parametrize("shape", [(7, 20), (3, 5, 20), (40, 20)])
@pytest.mark.parametrize("width", [9, 64])
def test_product_and_gradients(onednn: list[tuple[int, ...]], shape: tuple[int, ...], width: int) -> None:
    torch.manual_seed(0)
    x, weight, bias = (torch.randn(size, requires_grad=True) for size in (shape, (width, 20), (width,)))
    same(linear(x, weight, bias), F.linear(x, weight, bias), x, weight, bias)
    assert onednn == [(x.numel() // 20, 20)]


@needs_onednn
def test_rows_apart_parts_of_weights_and_no_bias(onednn: list[tuple[int, ...]]) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(6, 5, 16, requires_grad=True), torch.randn(48, 16, requires_grad=True)
    same(linear(x[:, :1], weight[16:]), F.linear(x[:, :1], weight[16:]), x, weight)
    transposed = torch.randn(16, 6).T
    same(linear(transposed, weight), F.linear(transposed, weight), weight)
    assert len(onednn) == 2


@needs_onednn
def test_only_what_is_asked_for_gets_a_gradient(onednn: list[tuple[int, ...]]) -> None:
    layer = Linear(8, 4)
    layer.weight.requires_grad_(False)
    layer(torch.randn(3, 8)).sum().backward()
    assert layer.weight.grad is None
    torch.testing.assert_close(layer.bias.grad, torch.full((4,), 3.0))
    assert onednn


@needs_onednn
def test_other_types_small_products_and_autocast_stay_with_torch(
    onednn: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, weight = torch.randn(4, 8), torch.randn(6, 8)
    linear(x.double(), weight.double())
    linear(x.bfloat16(), weight.bfloat16())
    linear(x.to("meta"), weight.to("meta"))
    assert linear(x[:0], weight).shape == (0, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight).dtype == torch.bfloat16
    monkeypatch.setattr(encoders_linear, "LEAST_PRODUCTS", 4 * 8 * 6 + 1)
    assert torch.equal(linear(x, weight), F.linear(x, weight))
    assert not onednn


def test_quick_gelu_and_its_gradient() -> None:
    x = torch.linspace(-9, 9, 200, requires_grad=True)
    wanted = x * torch.sigmoid(1.702 * x)
    same(quick_gelu(x), wanted, x)
    with torch.no_grad():
        torch.testing.assert_close(quick_gelu(x.clone()), wanted)
