"""Every format of weights gives the same encoder; everything that does not fit is named."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.models import (
    RESNET,
    VIT,
    hugging_face_folder,
    hugging_face_state,
    same_encoder,
    same_weights,
    save_archive,
    small,
)
from safetensors.torch import save_file
from torch import Tensor

from bike.errors import BikeError, WeightsError
from bike.model.encoders import Encoder, build
from bike.model.formats.read import detect_format, read_state
from bike.model.heads import AttributeHead, VideoHead
from bike.model.layers.architecture import Architecture
from bike.model.weights import load_clip, load_released, save_released, save_safetensors

BOTH = pytest.mark.parametrize("architecture", [VIT, RESNET], ids=["vit", "resnet"])


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return small()


def half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.half() if value.is_floating_point() else value for key, value in state.items()}


@BOTH
def test_torchscript_archive(tmp_path: Path, architecture: Architecture) -> None:
    expected = small(architecture)
    path = save_archive(tmp_path / "clip.pt", expected)
    assert detect_format(path) == "torchscript"
    assert same_encoder(load_clip(path), expected)


def test_torchscript_reader_agrees_with_torch(tmp_path: Path, encoder: Encoder) -> None:
    path = save_archive(tmp_path / "clip.pt", encoder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is deprecated; the files stay
        wanted = torch.jit.load(str(path)).state_dict()
    got = read_state(path)
    assert set(got) - set(wanted) == {"transformer.resblocks.0.attn_mask"}
    for key, value in wanted.items():
        assert got[key].dtype == value.dtype, key
        assert torch.equal(got[key], value), key


@BOTH
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("nested", [None, "state_dict", "model_state_dict"])
def test_plain_state_dict(tmp_path: Path, architecture: Architecture, legacy: bool, nested: str | None) -> None:
    expected = small(architecture)
    state: object = half(expected.state_dict())
    if nested:
        state = {nested: {f"module.{key}": value for key, value in half(expected.state_dict()).items()}, "epoch": 2}
    path = tmp_path / "clip.bin"
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    assert detect_format(path) == ("torch-legacy" if legacy else "torch")
    assert same_encoder(load_clip(path), expected)


@BOTH
def test_safetensors(tmp_path: Path, architecture: Architecture) -> None:
    expected = small(architecture)
    save_safetensors(tmp_path / "clip.safetensors", expected)
    assert detect_format(tmp_path / "clip.safetensors") == "safetensors"
    assert same_encoder(load_clip(tmp_path / "clip.safetensors"), expected)
    first = (tmp_path / "clip.safetensors").read_bytes()
    save_safetensors(tmp_path / "again.safetensors", expected)
    assert (tmp_path / "again.safetensors").read_bytes() == first


def test_safetensors_that_begin_like_a_pickle(tmp_path: Path, encoder: Encoder) -> None:
    """The first byte is the lowest of the header's length. The file's name is of no matter."""
    path = tmp_path / "blob"
    for padding in range(0, 256, 8):
        save_file(encoder.state_dict(), path, metadata={"padding": "x" * padding})
        if path.read_bytes()[:1] == b"\x80":
            break
    assert path.read_bytes()[:1] == b"\x80"
    assert detect_format(path) == "safetensors"
    assert same_encoder(load_clip(path), encoder)


def test_bfloat16_weights(tmp_path: Path, encoder: Encoder) -> None:
    save_file({key: value.bfloat16() for key, value in encoder.state_dict().items()}, tmp_path / "clip.safetensors")
    loaded = load_clip(tmp_path / "clip.safetensors")
    assert loaded.dtype == torch.float32
    torch.testing.assert_close(loaded.text_projection, encoder.text_projection.bfloat16().float())


def test_counters_that_old_files_lack(tmp_path: Path) -> None:
    expected = small(RESNET)
    state = {key: value for key, value in expected.state_dict().items() if not key.endswith("num_batches_tracked")}
    save_file(state, tmp_path / "clip.safetensors")
    assert same_encoder(load_clip(tmp_path / "clip.safetensors"), expected)


def test_hugging_face_folder_and_file(tmp_path: Path, encoder: Encoder) -> None:
    folder = hugging_face_folder(tmp_path / "clip", encoder)
    assert same_encoder(load_clip(folder), encoder)
    assert same_encoder(load_clip(folder / "model.safetensors"), encoder)
    (folder / "config.json").unlink()
    assert same_encoder(load_clip(folder), encoder)


def test_hugging_face_part_is_missing(tmp_path: Path, encoder: Encoder) -> None:
    state = hugging_face_state(encoder)
    del state["text_model.encoder.layers.1.self_attn.k_proj.weight"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"missing transformer.resblocks.1.attn.in_proj_weight") as caught:
        load_clip(tmp_path / "model.safetensors")
    assert "in_proj_weight (q)" in str(caught.value)


def test_open_clip(tmp_path: Path, encoder: Encoder) -> None:
    plain = encoder.state_dict()
    custom = {
        key if key.startswith("visual.") or key == "logit_scale" else f"text.{key}": value
        for key, value in plain.items()
    }
    torch.save({"epoch": 32, "name": "run", "state_dict": custom}, tmp_path / "epoch_32.pt")
    assert same_encoder(load_clip(tmp_path / "epoch_32.pt"), encoder)
    torch.save(plain, tmp_path / "open_clip_pytorch_model.bin")
    assert same_encoder(load_clip(tmp_path), encoder)


def test_all_that_does_not_fit_is_listed_with_the_nearest(tmp_path: Path, encoder: Encoder) -> None:
    state = dict(encoder.state_dict())
    state["ln_finale.weight"] = state.pop("ln_final.weight")
    for layer in (0, 1):
        state[f"transformer.resblocks.{layer}.mlp.fc.weight"] = state.pop(
            f"transformer.resblocks.{layer}.mlp.c_fc.weight"
        )
    state["visual.proj"] = torch.zeros(64, 25)
    state["visual.ln_post.bias"] = torch.zeros(64, dtype=torch.int64)
    state["optimizer"] = torch.zeros(3)
    save_file(state, tmp_path / "clip.safetensors")
    with pytest.raises(WeightsError) as caught:
        load_clip(tmp_path / "clip.safetensors")
    text = str(caught.value)
    assert "\n" not in text
    for part in (
        "missing ln_final.weight [nearest: ln_finale.weight, 128]",
        "missing transformer.resblocks.*.mlp.c_fc.weight (2 keys) [nearest: transformer.resblocks.*.mlp.fc.weight (2",
        "unexpected ln_finale.weight [nearest: ln_final.weight, 128]",
        "unexpected optimizer;",
        "mis-shaped visual.proj (got 64x25; the model has 64x24)",
        "visual.ln_post.bias is of type torch.int64",
    ):
        assert part in text, part


def test_layers_with_a_gap(tmp_path: Path, encoder: Encoder) -> None:
    state = {
        key.replace("transformer.resblocks.1.", "transformer.resblocks.999999999."): value
        for key, value in encoder.state_dict().items()
    }
    save_file(state, tmp_path / "clip.safetensors")
    with pytest.raises(
        WeightsError, match=r"missing transformer.resblocks.1.ln_1.bias .*; unexpected transformer.resblocks.999"
    ):
        load_clip(tmp_path / "clip.safetensors")


def test_not_a_clip(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(3), "text_projektion": torch.zeros(2, 2)}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match=r"not the weights of a CLIP, visual.conv1.weight is missing"):
        load_clip(tmp_path / "x.safetensors")
    torch.save({"epoch": 3}, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match="holds no tensors by name"):
        load_clip(tmp_path / "x.pt")
    torch.save([torch.zeros(3)], tmp_path / "x.pt")
    with pytest.raises(WeightsError, match=r"holds no tensors by name \(got list\)"):
        load_clip(tmp_path / "x.pt")


def test_widths_that_no_heads_divide(tmp_path: Path, encoder: Encoder) -> None:
    """Towers of 3 heads and 200 channels, and a temporal head of 3 heads and 25 channels."""
    state = {**encoder.state_dict(), "text_projection": torch.zeros(200, 24)}
    save_file(state, tmp_path / "clip.safetensors")
    with pytest.raises(
        WeightsError, match=r"clip\.safetensors: not the weights of a CLIP: width: 200 is not a multiple"
    ):
        load_clip(tmp_path / "clip.safetensors")
    odd = build(replace(VIT, embed_dim=25, text_width=192))
    save_released(tmp_path / "odd.pt", odd, VideoHead(25, 1), 1)
    with pytest.raises(WeightsError, match=r"odd\.pt: not the weights of a CLIP: width: 25 is not a multiple"):
        load_released(tmp_path / "odd.pt")


def test_no_such_file_and_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(BikeError, match="no such file"):
        load_clip(tmp_path / "none.pt")
    with pytest.raises(WeightsError, match="no weights in this folder"):
        load_clip(tmp_path)


@pytest.mark.parametrize(
    "head",
    [VideoHead(24, 2), VideoHead(24, 2, interaction="dp"), VideoHead(24, 2, "none"), AttributeHead(24)],
    ids=["transf-vcs", "transf-dp", "none-vcs", "attributes"],
)
def test_released_checkpoints_go_round(tmp_path: Path, encoder: Encoder, head: VideoHead | AttributeHead) -> None:
    save_released(tmp_path / "best.pt", encoder, head, 17)
    loaded, back, epoch, _ = load_released(tmp_path / "best.pt")
    assert epoch == 17
    assert same_encoder(loaded, encoder)
    assert type(back) is type(head)
    assert not back.training
    assert same_weights(back, head)
    if isinstance(head, VideoHead) and isinstance(back, VideoHead):
        assert (back.temporal, back.interaction) == (head.temporal, head.interaction)
    assert same_encoder(load_clip(tmp_path / "best.pt"), encoder)
    plain = torch.load(tmp_path / "best.pt", weights_only=True)
    names = ["epoch", "model_state_dict", "fusion_model_state_dict", "optimizer_state_dict"]
    assert [key for key in plain if key != "interaction"] == names


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_released_checkpoint_of_old_torch(tmp_path: Path, encoder: Encoder, legacy: bool) -> None:
    head = VideoHead(24, 2)
    optimizer = torch.optim.AdamW(head.parameters())
    sum(parameter.sum() for parameter in head.parameters()).backward()  # type: ignore[union-attr]
    optimizer.step()
    checkpoint = {
        "epoch": 29,
        "model_state_dict": {f"module.{key}": value for key, value in half(encoder.state_dict()).items()},
        "fusion_model_state_dict": {f"module.{key}": value for key, value in head.state_dict().items()},
        "optimizer_state_dict": optimizer.state_dict(),
    }
    torch.save(checkpoint, tmp_path / "old.pt", _use_new_zipfile_serialization=not legacy)
    loaded, back, epoch, _ = load_released(tmp_path / "old.pt")
    assert epoch == 29
    assert same_weights(loaded, encoder)
    assert same_weights(back, head)
    assert isinstance(back, VideoHead)
    assert back.interaction == "vcs"
    assert back.transformer.resblocks[0].attn.num_heads == encoder.text_heads


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"fusion_model_state_dict": None},
            r"fusion_model_state_dict is not a state dict \(got epoch; model_state_dict",
        ),
        ({"model_state_dict": {"a": 3}}, "model_state_dict is not a state dict"),
        ({"fusion_model_state_dict": {"lstm.weight": torch.zeros(2)}}, "unexpected lstm.weight"),
        (
            {"fusion_model_state_dict": {"query_fc.0.weight": torch.zeros(24, 24)}},
            r"missing query_fc.\*.bias \(2 keys\)",
        ),
    ],
)
def test_not_a_released_checkpoint(tmp_path: Path, encoder: Encoder, change: dict[str, object], problem: str) -> None:
    save_released(tmp_path / "best.pt", encoder, VideoHead(24, 2, "none"), 1)
    checkpoint = torch.load(tmp_path / "best.pt", weights_only=True)
    torch.save({**checkpoint, **change}, tmp_path / "best.pt")
    with pytest.raises(WeightsError, match=problem):
        load_released(tmp_path / "best.pt")


def test_clip_alone_is_not_a_released_checkpoint(tmp_path: Path, encoder: Encoder) -> None:
    save_safetensors(tmp_path / "clip.safetensors", encoder)
    with pytest.raises(WeightsError, match=r"not a checkpoint of torch.save \(got safetensors\)"):
        load_released(tmp_path / "clip.safetensors")
