"""Every format of weights gives the same encoder; what is none is named."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.models import RESNET, VIT, half, same_encoder, save_archive, small
from safetensors.torch import save_file

from bike.errors import BikeError, WeightsError
from bike.files import sha256
from bike.model.encoders import Encoder
from bike.model.formats.inspect import convert, inspect_weights
from bike.model.formats.read import detect_format, read_state, weights_sha256
from bike.model.layers.architecture import Architecture
from bike.model.weights import load_clip, save_safetensors

BOTH = pytest.mark.parametrize("architecture", [VIT, RESNET], ids=["vit", "resnet"])


@BOTH
@pytest.mark.parametrize(("kind", "save"), [("torchscript", save_archive), ("safetensors", save_safetensors)])
def test_archives_and_safetensors(
    tmp_path: Path, architecture: Architecture, kind: str, save: Callable[[Path, Encoder], object]
) -> None:
    expected = small(architecture)
    for name in ("a", "b"):
        save(tmp_path / name, expected)
        assert detect_format(tmp_path / name) == kind
    assert same_encoder(load_clip(tmp_path / "a"), expected)
    assert kind == "torchscript" or (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


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


def test_no_such_file_and_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(BikeError, match="no such file"):
        load_clip(tmp_path / "none.pt")
    with pytest.raises(WeightsError, match="no weights in this folder"):
        load_clip(tmp_path)


def test_wrapped_weights(tmp_path: Path, encoder: Encoder) -> None:
    """Behind the names that compilers and training programs put around them, and one in another."""
    for prefix, nest in (
        ("_orig_mod.", ()),
        ("model.", ("state_dict",)),
        ("module._orig_mod.", ("state_dict",)),
        ("", ("module",)),
        ("", ("model_state",)),
        ("model.", ("model", "state_dict")),
    ):
        state: object = {f"{prefix}{key}": value for key, value in encoder.state_dict().items()}
        for name in reversed(nest):
            state = {name: state, "epoch": 3}
        torch.save(state, tmp_path / "clip.pt")
        assert same_encoder(load_clip(tmp_path / "clip.pt"), encoder), (prefix, nest)
    endless: dict[str, object] = {"epoch": 3}
    endless["model"] = endless
    torch.save(endless, tmp_path / "clip.pt")
    with pytest.raises(WeightsError, match="holds no tensors by name"):
        load_clip(tmp_path / "clip.pt")


def in_parts(folder: Path, encoder: Encoder) -> Path:
    folder.mkdir(exist_ok=True)
    state = encoder.state_dict()
    places = {key: f"model-{number % 2 + 1:05}-of-00002.safetensors" for number, key in enumerate(state)}
    for name in set(places.values()):
        save_file({key: state[key] for key, place in places.items() if place == name}, folder / name)
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return path


def test_safetensors_in_parts(tmp_path: Path, encoder: Encoder) -> None:
    index = in_parts(tmp_path / "parts", encoder)
    assert same_encoder(load_clip(index.parent), encoder)
    assert same_encoder(load_clip(index), encoder)
    before = weights_sha256(index)
    assert before == inspect_weights(index).sha256 != sha256(index)
    part = index.with_name("model-00002-of-00002.safetensors")
    content = part.read_bytes()
    part.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # other weights under the same index
    assert weights_sha256(index) != before
    part.write_bytes(content)
    with pytest.raises(BikeError, match="is read here"):
        convert(index, part, replace=True)
    places = json.loads(index.read_text())["weight_map"]
    first = next(iter(places))
    save_file({first: torch.zeros(1)}, tmp_path / "out.safetensors")
    for change, problem in (
        ({first: "../out.safetensors"}, "can't be the name of one of its files"),
        ({first: str(tmp_path / "out.safetensors")}, "can't be the name of one of its files"),
        ({"more": "model-00001-of-00002.safetensors"}, "holds other tensors than"),
        ({first: "gone.safetensors"}, "no such file"),
        ({first: 3}, "a JSON file, but not an index"),
    ):
        index.write_text(json.dumps({"weight_map": {**places, **change}}))
        with pytest.raises(Exception, match=problem):
            load_clip(index)
