"""A recogniser: loaded once from whatever names a model, for files, bytes and frames, wholes, parts and windows."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.contracts import save_model
from helpers.fit import tiny_encoder
from helpers.fit_data import NAMES
from helpers.videos import make_video

import bike
from bike.data.temporal import test_indices as clip_indices
from bike.errors import BikeError, DataError, ParamsError
from bike.model.weights import save_safetensors
from bike.predict.recogniser import Recogniser
from bike.video.decode import decode_frames


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``a.mp4`` (40 numbered frames, 10 a second), ``model.pt`` (3 frames a clip), ``clip.safetensors``."""
    folder = tmp_path_factory.mktemp("recogniser")
    make_video(folder / "a.mp4", 40, options={"g": "8"})
    save_model(folder / "model.pt", classes=NAMES)
    save_safetensors(folder / "clip.safetensors", tiny_encoder())
    return folder


@pytest.fixture(scope="module")
def recogniser(folder: Path) -> Recogniser:
    return bike.load(folder / "model.pt", device="cpu")


def test_importing_the_package_loads_nothing() -> None:
    code = "import bike, sys; bike.__version__; print([n for n in ('torch', 'numpy', 'av') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bike.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bike.predict.nothing  # noqa: B018


def test_a_file_its_bytes_and_its_frames_are_one_video(folder: Path, recogniser: Recogniser) -> None:
    file = recogniser.predict(folder / "a.mp4", top=2)
    assert recogniser.names == NAMES
    assert len(file.guesses) == 2
    assert file.labels == [guess.name for guess in file.guesses]
    assert file.scores == sorted(file.scores, reverse=True)
    assert list(file.looked_at) == clip_indices(40, 3, 1)
    assert file.times == pytest.approx([index / 10 for index in file.looked_at])
    assert [item.frame for item in file.saliency] == list(file.looked_at)
    assert sum(item.weight for item in file.saliency) == pytest.approx(1, abs=1e-5)
    data = recogniser.predict((folder / "a.mp4").read_bytes(), top=2)
    assert (data.guesses, data.saliency, data.seconds) == (file.guesses, file.saliency, 4.0)
    frames = recogniser.predict(decode_frames(folder / "a.mp4", range(40)), top=2)
    assert (frames.guesses, frames.frames, frames.seconds) == (file.guesses, 40, 1.6)  # taken for 25 a second
    for other in (np.zeros((2, 8, 8, 3)), io.BytesIO(b"x"), None):
        with pytest.raises(ValueError, match="uint8"):
            recogniser.predict(other)  # type: ignore[arg-type]
    for top in (0, -1):
        with pytest.raises(ValueError, match="top must be at least 1"):
            recogniser.predict(folder / "a.mp4", top)


def test_features_are_those_of_the_frames(folder: Path, recogniser: Recogniser) -> None:
    features = recogniser.features(folder / "a.mp4", start=2, end=2.05)
    assert features.shape == (1, 3, 16)
    assert torch.equal(features[:, 0], features[:, 1])  # one frame, three times
    whole = recogniser.features(folder / "a.mp4")
    assert not torch.equal(whole[:, 0], whole[:, 1])
    one = recogniser.features(decode_frames(folder / "a.mp4", [13]))
    assert torch.allclose(whole[0, 1], one[0, 0], atol=1e-5)  # frame 13 of 0, 13, 26


def test_a_part_is_what_its_frames_are(folder: Path, recogniser: Recogniser) -> None:
    part = recogniser.predict(folder / "a.mp4", start=1.0, end=2.5)
    assert list(part.looked_at) == [10, 15, 20]
    alone = recogniser.predict(decode_frames(folder / "a.mp4", range(10, 25)))
    assert part.scores == pytest.approx(alone.scores, abs=1e-6)
    with pytest.raises(DataError, match=r"a\.mp4: it ends after 4\.0 s"):
        recogniser.predict(folder / "a.mp4", start=9)
    with pytest.raises(ParamsError, match="--stride"):
        recogniser.predict(folder / "a.mp4", stride=1)


def test_windows_are_parts_and_the_whole_is_their_mean(
    folder: Path, recogniser: Recogniser, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = recogniser.predict(folder / "a.mp4", top=3, window=1.5, stride=1.0)
    assert [(window.start, window.end) for window in found.timeline] == [(0, 1.5), (1, 2.5), (2, 3.5), (3, 4)]
    assert found.looked_at == found.saliency == ()
    for window in found.timeline:
        part = recogniser.predict(folder / "a.mp4", top=3, start=window.start, end=window.end)
        assert [g.name for g in window.guesses] == part.labels
        assert [g.probability for g in window.guesses] == pytest.approx(part.scores, abs=1e-6)
        assert [item.frame for item in window.saliency] == list(part.looked_at)
    for guess in found.guesses:
        chances = [g.probability for window in found.timeline for g in window.guesses if g.label == guess.label]
        assert guess.probability == pytest.approx(sum(chances) / 4, abs=1e-6)
    monkeypatch.setattr("bike.predict.recogniser.FRAMES_AT_ONCE", 1)  # one window at a time
    again = recogniser.predict(folder / "a.mp4", top=3, window=1.5, stride=1.0)
    assert again.scores == pytest.approx(found.scores, abs=1e-6)


def test_whatever_names_a_model(folder: Path, tmp_path: Path) -> None:
    clip = bike.load(folder / "clip.safetensors", ["a dog", "a cat"], device="cpu", frames=4)
    found = clip.predict(folder / "a.mp4")
    assert sorted(found.labels) == ["a cat", "a dog"]
    assert (len(found.looked_at), found.saliency) == (4, ())  # CLIP alone weighs all frames alike
    mine = bike.load(folder / "model.pt", ["a dog", "a cat"], device="cpu")
    assert mine.names == ["a dog", "a cat"]
    (tmp_path / "bad.pt").write_bytes(b"no weights")
    for model, reason in (
        (tmp_path / "bad.pt", r"bad\.pt"),
        (tmp_path, "no weights in this folder"),
        ("ViT-B/23", "Did you mean 'ViT-B/32'"),
    ):
        with pytest.raises(BikeError, match=reason):
            bike.load(model, ["a", "b"], device="cpu")
    with pytest.raises(BikeError, match="doesn't say which classes"):
        bike.load(folder / "clip.safetensors", device="cpu")
    with pytest.raises(BikeError, match="ViT-B/32: CLIP alone has no classes"):  # before it is fetched
        bike.load("ViT-B/32", device="cpu")
    with pytest.raises(ParamsError, match="frame"):
        bike.load(folder / "model.pt", device="cpu", frame=4)
    with pytest.raises(ParamsError, match=r"model\.frames: 8, but"):
        bike.load(folder / "model.pt", device="cpu", frames=8)
    with pytest.raises(BikeError, match="--device"):
        bike.load(folder / "model.pt", device="abacus")
