"""CLIP's towers: shapes, masks, checkpointing, precision, and what is read from a state dict."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from helpers.models import RESNET, VIT, pictures, small, token_ids
from torch import Tensor, nn

from bike.model.encoders import Encoder, build, encode_prompts
from bike.model.layers.architecture import OFFICIAL, Architecture, read_architecture
from bike.model.layers.blocks import Attention, Block, Transformer

BOTH = pytest.mark.parametrize("architecture", [VIT, RESNET], ids=["vit", "resnet"])


def test_attention_is_that_of_multihead_attention() -> None:
    torch.manual_seed(0)
    ours, theirs = Attention(48, 3), nn.MultiheadAttention(48, 3, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 5, 48)
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0])
    mask = torch.full((5, 5), -math.inf).triu(1)
    torch.testing.assert_close(ours(x, causal=True), theirs(x, x, x, attn_mask=mask)[0])


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


def test_the_first_position_of_a_causal_attention_sees_itself_alone() -> None:
    torch.manual_seed(0)
    attention, x = Attention(64, 2), torch.randn(3, 5, 64)
    expected = attention(x, causal=True)[:, :1]
    torch.testing.assert_close(attention(x, causal=True, first_only=True), expected)


def test_attention_starts_as_multihead_attention_does() -> None:
    torch.manual_seed(0)
    weight = Attention(64, 1).in_proj_weight.detach()
    bound = math.sqrt(6 / (64 + 192))
    assert weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


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


@BOTH
def test_image_features_do_not_depend_on_the_batch(architecture: Architecture) -> None:
    encoder = small(architecture)
    frames = pictures(encoder)
    features = encoder.encode_image(frames)
    assert features.shape == (3, 24)
    torch.testing.assert_close(encoder.encode_image(frames[1:2]), features[1:2], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(features[0], features[1])


def test_image_features_need_the_right_size() -> None:
    with pytest.raises(ValueError, match="8x16 px, but this encoder takes 16x16"):
        small().encode_image(torch.zeros(1, 3, 16, 8))


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


def test_embed_text_equals_class_embeddings() -> None:
    encoder, ids = small(), token_ids()
    torch.testing.assert_close(encoder.embed_text(ids), encoder.encode_text(ids)[0])
    assert encoder.embed_text(ids[:0]).shape == (0, 24)


def test_text_too_long_for_the_position_table() -> None:
    with pytest.raises(ValueError, match="13 positions, but this encoder takes at most 12"):
        small().encode_text(torch.zeros(1, 13, dtype=torch.int64))


def test_prompts_in_chunks_are_the_same_and_carry_no_gradient() -> None:
    encoder, ids = small(), token_ids()
    for got, wanted in zip(encode_prompts(encoder, ids, chunk=2), encoder.encode_text(ids), strict=True):
        assert not got.requires_grad
        torch.testing.assert_close(got, wanted)
    assert encode_prompts(encoder.bfloat16(), ids)[0].dtype == torch.float32


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
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_near_full(architecture: Architecture, dtype: torch.dtype) -> None:
    encoder = small(architecture)
    frames, ids = pictures(encoder), token_ids()
    with torch.no_grad():
        image, (classes, tokens) = encoder.encode_image(frames), encoder.encode_text(ids)
        encoder.to(dtype)
        low_image, (low_classes, low_tokens) = encoder.encode_image(frames), encoder.encode_text(ids)
    assert low_image.dtype == low_tokens.dtype == encoder.dtype == dtype
    for low, full in ((low_image, image), (low_classes, classes), (low_tokens, tokens)):
        assert F.cosine_similarity(low.float(), full, dim=-1).min() > 0.995


@BOTH
def test_autocast_is_near_full(architecture: Architecture) -> None:
    encoder = small(architecture)
    frames, ids = pictures(encoder), token_ids()
    with torch.no_grad():
        image, classes = encoder.encode_image(frames), encoder.encode_text(ids)[0]
        with torch.autocast("cpu", torch.bfloat16):
            low_image, low_classes = encoder.encode_image(frames), encoder.encode_text(ids)[0]
    assert F.cosine_similarity(low_image.float(), image, dim=-1).min() > 0.995
    assert F.cosine_similarity(low_classes.float(), classes, dim=-1).min() > 0.995


def test_fresh_encoder_starts_as_openai_starts() -> None:
    torch.manual_seed(0)
    width, layers = 256, 4
    fresh = build(
        Architecture(
            embed_dim=128,
            input_size=32,
            vision_layers=2,
            vision_width=128,
            patch_size=8,
            text_width=width,
            text_layers=layers,
        )
    )
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


def test_resnet_starts_with_closed_residual_branches() -> None:
    fresh = build(RESNET)
    assert all(bool((block.bn3.weight == 0).all()) for block in fresh.visual.layer2)
    assert fresh.visual.attnpool.q_proj.weight.std().item() == pytest.approx(256**-0.5, rel=0.05)


@pytest.mark.parametrize("name", OFFICIAL)
def test_architecture_is_read_from_shapes_alone(name: str) -> None:
    encoder = build(OFFICIAL[name], device="meta")
    assert read_architecture(encoder.state_dict()) == OFFICIAL[name]
    assert encoder.device.type == "meta"


def test_architecture_of_shapes_that_fit_no_clip() -> None:
    state = small().state_dict()
    with pytest.raises(KeyError, match="text_projection"):
        read_architecture({key: value for key, value in state.items() if key != "text_projection"})
    with pytest.raises(ValueError, match="4 rows, not a square number and one"):
        read_architecture({**state, "visual.positional_embedding": torch.zeros(4, 64)})
    with pytest.raises(ValueError, match="visual.conv1.weight has shape"):
        read_architecture({**state, "visual.conv1.weight": torch.zeros(64)})


def test_heads_are_told_by_the_width_or_not_at_all() -> None:
    fields = VIT.__dict__
    assert Architecture(**{**fields, "vision_width": 1280}).vision_heads == 16  # OpenCLIP's ViT-H, 80 channels each
    assert Architecture(**{**fields, "text_width": 1280}).text_heads == 20
    for changes in ({"vision_width": 96}, {"text_width": 160}):
        with pytest.raises(ValueError, match=r"width: \d+ is not a multiple of 64"):
            Encoder(Architecture(**{**fields, **changes}))
    with pytest.raises(ValueError, match="width: 480 is not a multiple of 64"):  # pooling of 7 heads
        Encoder(Architecture(**{**RESNET.__dict__, "vision_width": 15}))


def test_towers_refuse_each_other_s_numbers() -> None:
    fields = {**VIT.__dict__, "patch_size": None}
    with pytest.raises(ValueError, match="four numbers"):
        Encoder(Architecture(**fields))
    with pytest.raises(ValueError, match="one number of vision_layers"):
        Encoder(Architecture(**{**RESNET.__dict__, "patch_size": 8}))
