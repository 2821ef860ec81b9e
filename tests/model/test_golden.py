"""The model against numbers that the published implementation computed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from bike.model.encoders import Encoder
from bike.model.heads import AttributeHead, VideoHead
from bike.model.weights import load_clip, load_released


@pytest.fixture(scope="module")
def wanted(golden: Path) -> dict[str, Tensor]:
    return load_file(golden / "tensors.safetensors")


@pytest.fixture(scope="module")
def encoder(golden: Path) -> Encoder:
    return load_clip(golden / "clip_fp16.safetensors")


@pytest.fixture(scope="module")
def found(encoder: Encoder, wanted: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Frame features, token features, class embeddings: our own."""
    with torch.no_grad():
        frames = encoder.encode_image(wanted["frames"].flatten(0, 1)).view(2, 8, -1)
        classes, tokens = encoder.encode_text(wanted["text_ids"])
    return frames, tokens, classes


def weights(path: Path) -> dict[str, Tensor]:
    return {key: value.float() for key, value in load_file(path).items()}


def video_head(golden: Path, temporal: str, interaction: str) -> VideoHead:
    head = VideoHead(64, 2, temporal.lower(), interaction.lower())  # type: ignore[arg-type]
    if temporal == "Transf":
        head.load_state_dict(weights(golden / "video_head_fp16.safetensors"))
    return head.eval()


def near(got: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(got, expected, atol=tolerance, rtol=0)


def test_features(found: tuple[Tensor, Tensor, Tensor], wanted: dict[str, Tensor]) -> None:
    frames, tokens, classes = found
    near(frames, wanted["image_features"], 1e-5)
    near(classes, wanted["text_cls_features"], 1e-5)
    near(tokens[:6], wanted["text_token_features"], 1e-5)


@pytest.mark.parametrize("temporal", ["None", "Transf"])
@pytest.mark.parametrize("interaction", ["DP", "VCS"])
def test_video_logits(
    found: tuple[Tensor, Tensor, Tensor],
    wanted: dict[str, Tensor],
    golden: Path,
    temporal: str,
    interaction: str,
) -> None:
    with torch.no_grad():
        near(video_head(golden, temporal, interaction)(*found), wanted[f"logits.{temporal}.{interaction}"], 1e-6)


def test_attribute_logits(
    encoder: Encoder, found: tuple[Tensor, Tensor, Tensor], wanted: dict[str, Tensor], golden: Path
) -> None:
    head = AttributeHead(64)
    head.load_state_dict(weights(golden / "attributes_head_fp16.safetensors"))
    with torch.no_grad():
        near(head(found[2], encoder.embed_text(wanted["sentence_ids"])), wanted["sentence_logits"], 1e-6)


def test_released_checkpoint(
    golden: Path, encoder: Encoder, found: tuple[Tensor, Tensor, Tensor], wanted: dict[str, Tensor]
) -> None:
    loaded, head, epoch = load_released(golden / "released_format.pt")
    assert epoch == 3
    assert isinstance(head, VideoHead)
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in encoder.state_dict().items())
    with torch.no_grad():
        near(head(*found), wanted["logits.Transf.VCS"], 1e-6)
