"""CLIP's ResNet, against its description."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from helpers.models import RESNET, pictures, small
from torch import Tensor

from bike.model.encoders import build


def resnet_by_hand(state: dict[str, Tensor], frames: Tensor, num_heads: int) -> Tensor:
    """CLIP's ResNet in eval mode, straight from a state dict and its description."""

    def conv_norm(x: Tensor, conv: str, norm: str, **options: int) -> Tensor:
        x = F.conv2d(x, state[f"visual.{conv}.weight"], **options)  # type: ignore[arg-type]
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"visual.{norm}.{name}"] for name in names))  # type: ignore[misc]

    x = conv_norm(frames, "conv1", "bn1", stride=2, padding=1).relu()
    x = conv_norm(x, "conv2", "bn2", padding=1).relu()
    x = F.avg_pool2d(conv_norm(x, "conv3", "bn3", padding=1).relu(), 2)
    for layer in (1, 2, 3, 4):
        for block in range(4):
            name = f"layer{layer}.{block}"
            if f"visual.{name}.conv1.weight" not in state:
                break
            stride = 2 if layer > 1 and block == 0 else 1
            out = conv_norm(x, f"{name}.conv1", f"{name}.bn1").relu()
            out = F.avg_pool2d(conv_norm(out, f"{name}.conv2", f"{name}.bn2", padding=1).relu(), stride)
            out = conv_norm(out, f"{name}.conv3", f"{name}.bn3")
            if block == 0:
                x = conv_norm(F.avg_pool2d(x, stride), f"{name}.downsample.0", f"{name}.downsample.1")
            x = (x + out).relu()
    pool = {key.removeprefix("visual.attnpool."): value for key, value in state.items() if "attnpool" in key}
    places = x.flatten(2).permute(2, 0, 1)
    places = torch.cat([places.mean(0, keepdim=True), places]) + pool["positional_embedding"][:, None]
    pooled, _ = F.multi_head_attention_forward(
        places[:1],
        places,
        places,
        embed_dim_to_check=places.shape[-1],
        num_heads=num_heads,
        in_proj_weight=None,
        in_proj_bias=torch.cat([pool[f"{name}_proj.bias"] for name in "qkv"]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0,
        out_proj_weight=pool["c_proj.weight"],
        out_proj_bias=pool["c_proj.bias"],
        use_separate_proj_weight=True,
        q_proj_weight=pool["q_proj.weight"],
        k_proj_weight=pool["k_proj.weight"],
        v_proj_weight=pool["v_proj.weight"],
        training=False,
        need_weights=False,
    )
    return pooled[0]


def test_resnet_is_its_description() -> None:
    encoder = small(RESNET)
    frames = pictures(encoder)
    with torch.no_grad():
        by_hand = resnet_by_hand(encoder.state_dict(), frames, RESNET.vision_width * 32 // 64)
        torch.testing.assert_close(encoder.encode_image(frames), by_hand, atol=1e-5, rtol=1e-5)


def test_resnet_starts_with_closed_residual_branches() -> None:
    fresh = build(RESNET)
    assert all(bool((block.bn3.weight == 0).all()) for block in fresh.visual.layer2)
    assert fresh.visual.attnpool.q_proj.weight.std().item() == pytest.approx(256**-0.5, rel=0.05)
