"""What is in a weight file, and the same weights as safetensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.models import VIT, hugging_face_folder, same_encoder, save_archive
from safetensors.torch import save_file

from bike.errors import BikeError, WeightsError
from bike.model.encoders import Encoder
from bike.model.formats.inspect import convert, inspect_weights
from bike.model.formats.read import read_state
from bike.model.heads import AttributeHead, VideoHead
from bike.model.weights import load_clip, save_released, save_safetensors

SMALL = "can't read CLIP's tokens: 50 words in its vocabulary; CLIP's has 49408"


def test_inspect(tmp_path: Path, encoder: Encoder) -> None:
    found = inspect_weights(save_archive(tmp_path / "clip.pt", encoder))
    assert (found.format, found.architecture, found.head, found.problems) == ("torchscript", VIT, None, [SMALL])
    assert found.num_parameters == sum(parameter.numel() for parameter in encoder.parameters())
    assert found.dtypes == {"float16": len(encoder.state_dict()), "int64": 3, "float32": 1}
    assert found.num_not_finite == 1  # the causal mask
    head = VideoHead(24, 2, "none", "dp")
    save_released(tmp_path / "best.pt", encoder, head, 4)
    found = inspect_weights(tmp_path / "best.pt")
    assert (found.format, found.head, found.epoch, found.problems) == ("torch", "VideoHead (none)", 4, [SMALL])


def test_inspect_tells_what_does_not_fit(tmp_path: Path, encoder: Encoder) -> None:
    state = {key: value for key, value in encoder.state_dict().items() if key != "logit_scale"}
    save_file({**state, "visual.proj": torch.full((64, 24), float("nan"))}, tmp_path / "clip.safetensors")
    found = inspect_weights(tmp_path / "clip.safetensors")
    assert found.problems == ["missing logit_scale", SMALL]
    assert found.num_not_finite == 1
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    (problem,) = inspect_weights(tmp_path / "x.safetensors").problems
    assert problem.startswith("not the weights of a CLIP, visual.conv1.weight is missing")
    for name in ("text_projection", "token_embedding.weight", "positional_embedding"):
        assert f"{name} is missing" in problem
    state = {key: value for key, value in encoder.state_dict().items() if key != "text_projection"}
    save_file({**state, "text_projektion": torch.zeros(2, 2)}, tmp_path / "clip.safetensors")
    assert inspect_weights(tmp_path / "clip.safetensors").problems == [
        "not the weights of a CLIP, text_projection is missing (Hugging Face: text_projection.weight). "
        "Did you mean 'text_projektion'?"
    ]
    folder = hugging_face_folder(tmp_path / "hf", encoder, hidden_act="gelu")
    assert "hidden_act is gelu" in inspect_weights(folder).problems[0]


@pytest.mark.parametrize("dtype", [None, torch.float16, torch.float32])
def test_convert(tmp_path: Path, encoder: Encoder, dtype: torch.dtype | None) -> None:
    source = save_archive(tmp_path / "clip.pt", encoder)
    assert convert(source, tmp_path / "out.safetensors", dtype=dtype) == len(encoder.state_dict())
    assert {value.dtype for value in read_state(tmp_path / "out.safetensors").values()} == {dtype or torch.float16}
    assert same_encoder(load_clip(tmp_path / "out.safetensors"), encoder)


def test_convert_hugging_face_and_head(tmp_path: Path, encoder: Encoder) -> None:
    convert(hugging_face_folder(tmp_path / "hf", encoder), tmp_path / "out.safetensors")
    assert same_encoder(load_clip(tmp_path / "out.safetensors"), encoder)
    head = AttributeHead(24)
    save_released(tmp_path / "best.pt", encoder, head, 4)
    convert(tmp_path / "best.pt", tmp_path / "head.safetensors", part="head")
    written = read_state(tmp_path / "head.safetensors")
    assert all(torch.equal(value, written[key]) for key, value in head.state_dict().items())


def test_convert_refuses_and_leaves_nothing(tmp_path: Path, encoder: Encoder) -> None:
    source = tmp_path / "clip.safetensors"
    save_safetensors(source, encoder)
    with pytest.raises(WeightsError, match="must end in .safetensors"):
        convert(source, tmp_path / "out.pt")
    with pytest.raises(WeightsError, match="holds no head"):
        convert(source, tmp_path / "out.safetensors", part="head")
    save_file({**encoder.state_dict(), "extra": torch.zeros(1)}, source)
    with pytest.raises(WeightsError, match="unexpected extra"):
        convert(source, tmp_path / "out.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.safetensors"]
    save_safetensors(source, encoder)
    before = source.read_bytes()
    with pytest.raises(BikeError, match="is read here"):
        convert(source, source, replace=True)
    (tmp_path / "other.safetensors").write_bytes(b"theirs")
    with pytest.raises(BikeError, match="Give --replace"):
        convert(source, tmp_path / "other.safetensors")
    assert (source.read_bytes(), (tmp_path / "other.safetensors").read_bytes()) == (before, b"theirs")
