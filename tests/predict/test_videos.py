"""Predictions on any video file: agree with evaluation, survive bad files, show what counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import typer
from helpers.contracts import save_model
from helpers.fit import TINY, tiny_encoder
from typer.testing import CliRunner

from bike.cli import guarded
from bike.commands.predict import predict as command
from bike.data.spatial import test_crops as cut_crops
from bike.data.temporal import test_indices as clip_indices
from bike.errors import BikeError, DataError, WeightsError
from bike.evaluate.views import video_scores
from bike.model.encoders import build
from bike.model.heads import VideoHead
from bike.model.scorer import Scorer
from bike.model.weights import save_released, save_safetensors
from bike.params import Params, Views
from bike.predict import Prediction, predict_videos
from bike.records import write_labels
from bike.video.decode import decode_frames
from bike.workers.worker import has_module

NAMES = ["a red thing", "a green thing", "a blue thing"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``video.mp4`` (12 frames, 10 per second), ``model.pt``, ``clip.safetensors``, ``labels.csv``."""
    folder = tmp_path_factory.mktemp("predict")
    with av.open(str(folder / "video.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for number in range(12):
            pixels = np.full((32, 48, 3), 20 * number, dtype=np.uint8)
            pixels[8:24, number * 2 : number * 2 + 16, number % 3] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    torch.manual_seed(1)
    save_released(folder / "model.pt", tiny_encoder(), VideoHead(16, 1, num_layers=1), 0)
    save_safetensors(folder / "clip.safetensors", tiny_encoder())
    write_labels(folder / "labels.csv", NAMES)
    return folder


def params_of(**values: object) -> Params:
    return Params.model_validate({"model": {"frames": 4, **values}})


def predict(folder: Path, *videos: Path, **options: object) -> list[Prediction]:
    chosen: dict[str, object] = {"checkpoint": folder / "model.pt", "device": "cpu", **options}
    return list(predict_videos(params_of(), videos or [folder / "video.mp4"], NAMES, **chosen))  # type: ignore[arg-type]


def test_a_prediction_is_what_an_evaluation_would_score(folder: Path) -> None:
    (found,) = predict(folder, views=Views(clips=2, crops=3))
    assert (found.frames, found.seconds, found.error) == (12, 1.2, "")
    torch.manual_seed(1)
    scorer = Scorer(tiny_encoder(), VideoHead(16, 1, num_layers=1).eval(), NAMES, "This is a video about {}")
    indices = clip_indices(12, 4, 2)
    pictures = torch.from_numpy(decode_frames(folder / "video.mp4", indices))
    crops = cut_crops(pictures, 16, 3).view(1, 6, 4, 3, 16, 16)
    logits = scorer.score_frames(crops)[0]
    order = video_scores(logits, 6)[0].argsort(descending=True).tolist()
    assert [guess.label for guess in found.guesses] == order
    assert [guess.name for guess in found.guesses] == [NAMES[label] for label in order]
    assert sum(guess.probability for guess in found.guesses) == pytest.approx(1, abs=1e-5)
    assert [item.frame for item in found.saliency] == indices[:4]
    assert [item.seconds for item in found.saliency] == pytest.approx([i / 10 for i in indices[:4]])
    # The last of three crops is the centre; its first clip is view 4.
    weights = scorer.saliency(scorer.features(crops)[:, 4], torch.tensor(order[:1]))[0]
    assert [item.weight for item in found.saliency] == pytest.approx(weights.tolist(), abs=1e-4)


@pytest.mark.parametrize("crops", [1, 3, 5, 10])
def test_saliency_is_of_the_centre_crop(folder: Path, crops: int) -> None:
    (one,) = predict(folder, views=Views(clips=2, crops=1))
    (many,) = predict(folder, views=Views(clips=2, crops=crops))
    if one.guesses[0].label == many.guesses[0].label:
        assert [i.weight for i in many.saliency] == pytest.approx([i.weight for i in one.saliency], abs=1e-3)


def test_clip_alone_predicts_too(folder: Path) -> None:
    (found,) = predict(folder, checkpoint=None, weights=folder / "clip.safetensors", top_k=2)
    assert len(found.guesses) == 2
    assert found.saliency == ()  # every frame weighs the same
    assert "saliency" not in found.as_json()


@pytest.mark.skipif(not has_module("decord"), reason="no decord")
def test_decord_sees_what_pyav_sees(folder: Path) -> None:
    (ours,), (theirs,) = (predict(folder, decoder=name) for name in ("pyav", "decord"))
    assert theirs.guesses != ours.guesses  # it was decord that decoded
    assert sorted(guess.label for guess in theirs.guesses) == [0, 1, 2]
    for guess in ours.guesses:
        other = next(found for found in theirs.guesses if found.label == guess.label)
        assert other.probability == pytest.approx(guess.probability, abs=0.02)


def test_an_unreadable_video_does_not_stop_the_others(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.mp4").touch()
    found = predict(folder, tmp_path / "text.mp4", folder / "video.mp4", tmp_path / "empty.mp4")
    assert [bool(prediction.error) for prediction in found] == [True, False, True]
    assert "text.mp4" in found[0].error
    assert "error" in found[0].as_json()
    assert "error" not in found[1].as_json()


def test_bad_input_is_named(folder: Path) -> None:
    with pytest.raises(BikeError, match=r"absent\.mp4: no such file"):
        predict(folder, folder / "absent.mp4")
    with pytest.raises(BikeError, match=r"model\.pt: doesn't say which classes.*--classes"):
        list(predict_videos(params_of(), [folder / "video.mp4"], checkpoint=folder / "model.pt"))
    with pytest.raises(BikeError, match=r"absent\.pt: no such file"):
        predict(folder, checkpoint=folder / "absent.pt")
    for names, reason in ((["a"], "at least two"), (["a", "a"], "got a"), (["a", " "], "one is empty")):
        with pytest.raises(DataError, match=reason):
            predict_videos(params_of(), [folder / "video.mp4"], names, checkpoint=folder / "model.pt")


def run(*words: object) -> tuple[int, str]:
    """Status and stdout of the command, as a shell would see them."""
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [str(word) for word in words])

    def finish() -> None:
        if isinstance(result.exception, BikeError):
            raise result.exception

    return guarded(finish) or result.exit_code, result.output


def test_the_command_prints_a_table_and_writes_json(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--checkpoint", folder / "model.pt", "--classes", "[bold]dog[/bold], cat\x1b[31m", "--saliency"]
    status, printed = run(folder / "video.mp4", *words, "--json", tmp_path / "out.json", "--device", "cpu")
    assert status == 0, printed
    assert "[bold]dog[/bold]" in printed  # shown, not obeyed
    assert "\x1b[31m" not in printed
    assert "12 frames, 1.2 s" in printed
    assert "counted:" in printed
    (found,) = json.loads((tmp_path / "out.json").read_text())
    assert {guess["name"] for guess in found["guesses"]} == {"[bold]dog[/bold]", "cat\x1b[31m"}
    before = (folder / "video.mp4").read_bytes()
    for out, reason in ((folder / "video.mp4", "is read here"), (tmp_path / "out.json", "would be thrown away")):
        assert run(folder / "video.mp4", *words, "--json", out)[0] == 1
        assert reason in capsys.readouterr().err
    assert (folder / "video.mp4").read_bytes() == before
    assert run(folder / "video.mp4", *words, "--json", tmp_path / "out.json", "--replace")[0] == 0
    (tmp_path / "bad.mp4").write_text("x")
    status, printed = run(tmp_path / "bad.mp4", folder / "video.mp4", *words)
    assert status == 1
    assert "1 of 2 videos failed" in capsys.readouterr().err
    assert "12 frames" in printed


def test_the_command_wants_one_kind_of_names(folder: Path) -> None:
    for words in ((), ("--classes", "a,b", "--labels", folder / "labels.csv")):
        status, _ = run(folder / "video.mp4", "--checkpoint", folder / "model.pt", *words)
        assert status == 1


def test_a_trained_checkpoint_needs_nothing_else(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_model(tmp_path / "model.pt", classes=NAMES, frames=4, short_side=20, prompt="it is {}")
    status, printed = run(folder / "video.mp4", "--checkpoint", model, "--json", tmp_path / "a.json")
    assert status == 0, printed
    assert all(name in printed for name in NAMES)
    stated = Params.model_validate({"model": {"frames": 4, "short_side": 20, "prompt": "it is {}"}})
    (expected,) = predict_videos(stated, [folder / "video.mp4"], NAMES, checkpoint=folder / "model.pt", device="cpu")
    (found,) = json.loads((tmp_path / "a.json").read_text())
    assert [guess["probability"] for guess in found["guesses"]] == [guess.probability for guess in expected.guesses]
    one = save_model(tmp_path / "one.pt", classes=NAMES[:1])  # which would be 100 % of anything
    assert run(folder / "video.mp4", "--checkpoint", one)[0] == 1
    assert "at least two are needed" in capsys.readouterr().err
    (tmp_path / "p.yaml").write_text("model: {frames: 8}\n")
    words = ["--checkpoint", model, "--params", tmp_path / "p.yaml"]
    assert run(folder / "video.mp4", *words)[0] == 1
    assert "model.frames: 8, but" in capsys.readouterr().err
    status, printed = run(folder / "video.mp4", *words, "--allow-mismatch", "prompt, frames")
    assert status == 0, printed
    assert run(folder / "video.mp4", *words, "--allow-mismatch", "frame")[0] == 1
    assert "--allow-mismatch: unknown (got 'frame')" in capsys.readouterr().err


def test_scores_that_are_not_numbers_are_no_prediction(folder: Path, tmp_path: Path) -> None:
    encoder = tiny_encoder()
    with torch.no_grad():
        encoder.visual.proj[0, 0] = torch.nan
    save_released(tmp_path / "nan.pt", encoder, VideoHead(16, 1, num_layers=1), 0)
    (found,) = predict(folder, checkpoint=tmp_path / "nan.pt")
    assert "its scores are not numbers" in found.error


def test_a_short_context_cuts_texts(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_safetensors(tmp_path / "short.safetensors", build(replace(TINY, context_length=16)))
    (found,) = predict(folder, checkpoint=None, weights=tmp_path / "short.safetensors")
    assert len(found.guesses) == 3
    for changes, reason in (({"context_length": 2}, "2 positions"), ({"vocab_size": 512}, "512 words in its vocab")):
        save_safetensors(tmp_path / "bad.safetensors", build(replace(TINY, **changes)))
        with pytest.raises(WeightsError, match=reason):
            predict(folder, checkpoint=None, weights=tmp_path / "bad.safetensors")
