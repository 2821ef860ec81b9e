"""Export to ONNX: the graph says what PyTorch says, for any number of videos, frames and classes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.contracts import save_model
from torch import Tensor

from bike.commands.models.export import export
from bike.errors import BikeError, WeightsError
from bike.files.disk import FAULT
from bike.model.choose import load_video_model
from bike.model.scorer import Scorer, class_texts, encode_captions
from bike.params import Params
from bike.share import graph
from bike.share.graph import export_onnx

for module in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(module, reason="needs the extra `onnx`")
SHAPES = ((1, 3), (1, 1), (4, 8))


def session(path: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def pictures(videos: int, frames: int) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (videos, frames, 3, 16, 16), dtype=torch.uint8, generator=generator)


def wanted(model: Path, frames: Tensor, names: list[str] | None = None) -> Tensor:
    loaded = load_video_model(model)
    assert loaded.contract is not None
    scorer = Scorer(loaded.encoder, loaded.head, names or loaded.contract.classes, loaded.contract.prompt)
    return scorer.score_frames(frames[:, None])[:, 0]


def close(found: Any, expected: Tensor) -> bool:
    return found.shape == tuple(expected.shape) and float(np.abs(found - expected.numpy()).max()) < 1e-4


@pytest.mark.slow
def test_a_graph_with_its_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    model, out = save_model(tmp_path / "model.pt"), tmp_path / "model.onnx"
    caplog.set_level("INFO")  # as on the command line
    export(model, out)
    assert [record.getMessage() for record in caplog.records] == []
    assert "times as fast on this CPU" in capsys.readouterr().out
    opened = session(out)
    for shape in SHAPES:
        assert close(opened.run(None, {"frames": pictures(*shape).numpy()})[0], wanted(model, pictures(*shape)))
    about = json.loads(opened.get_modelmeta().custom_metadata_map["bike"])
    assert about["classes"] == ["red square", "green square", "blue square"]
    assert (about["frames"], about["input_size"], about["prompt"]) == (3, 16, "This is a video about {}")
    assert b".py" not in out.read_bytes(), "where the code lay on this machine"


@pytest.mark.slow
@pytest.mark.parametrize("interaction", ["vcs", "dp"])
def test_a_graph_that_is_given_its_classes(tmp_path: Path, interaction: str) -> None:
    model, out = save_model(tmp_path / "model.pt", interaction=interaction), tmp_path / "model.onnx"
    loaded = load_video_model(model)
    export_onnx(Params(), loaded, out, features="input")
    opened = session(out)
    for count, shape in enumerate(SHAPES, 1):
        names = ["a dog", "a cat", "a bird"][:count]
        classes, tokens = encode_captions(
            loaded.encoder, class_texts(loaded.encoder, names, "This is a video about {}")
        )
        given = {"frames": pictures(*shape), "classes": classes, "tokens": tokens}
        if interaction == "dp":
            del given["tokens"]
        found = opened.run(None, {name: value.numpy() for name, value in given.items()})[0]
        assert close(found, wanted(model, pictures(*shape), names))


@pytest.mark.slow
def test_a_graph_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "CLIP_MEAN", (0.0, 0.0, 0.0))
    with pytest.raises(WeightsError, match="its graph differs from PyTorch by"):
        export(save_model(tmp_path / "model.pt"), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.slow
def test_a_full_disk_leaves_the_earlier_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, out = save_model(tmp_path / "model.pt"), tmp_path / "model.onnx"
    out.write_text("earlier")
    monkeypatch.setenv(FAULT, f"2:ENOSPC:{tmp_path / 'count'}")
    with pytest.raises(BikeError, match=r"model\.onnx: can't be written \(No space left on device\)"):
        export(model, out, replace=True)
    assert out.read_text() == "earlier"
    assert {path.name for path in tmp_path.iterdir()} == {"model.pt", "model.onnx", "count"}


def test_without_the_extra_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(BikeError, match=r'pip install "bike-video\[onnx\]"'):
        export(save_model(tmp_path / "model.pt"), tmp_path / "model.onnx")


def test_other_kinds_of_files_and_options_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(BikeError, match=r"model.pth: unknown kind of file; names in .safetensors and .onnx"):
        export(tmp_path / "model.pt", tmp_path / "model.pth")
    with pytest.raises(
        BikeError, match="a.safetensors: holds the model as it is; classes and parameters are for an .onnx file"
    ):
        export(tmp_path / "model.pt", tmp_path / "a.safetensors", setting=["model.frames=8"], class_features="input")
