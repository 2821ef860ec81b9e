"""Pictures of predictions: strips of frames with bars, and videos with guesses drawn in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.videos import make_video, read_number

from bike import plot_saliency
from bike.errors import DataError
from bike.predict import FrameWeight, Guess, Prediction, Window
from bike.predict.draw import BAR_PX, FILM_LINES, FRAME_PX, GAP_PX, LINE_PX, render_video
from bike.video.decode import decode_frames, probe_video
from bike.video.file import VideoFile

ORANGE = (217, 84, 30)
NAME = "日本 <b>\x1b[31m" + "long " * 200
GUESSES = (Guess(0, NAME, 0.75), Guess(1, "other", 0.25))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("draw") / "a.mp4", 40, width=161, height=121, pixels="yuv444p")


def predicted(video: Path, *weights: float) -> Prediction:
    frames = [3 * number for number in range(10)]
    saliency = tuple(FrameWeight(f, f / 10, w) for f, w in zip(frames, weights, strict=False))
    return Prediction(str(video), 40, 4.0, GUESSES, saliency, tuple(frames), tuple(f / 10 for f in frames))


def test_a_strip_has_the_frames_and_a_bar_for_each(video: Path) -> None:
    weights = [0.0, 1.0, 0.5, *[0.0] * 7]
    page = plot_saliency(predicted(video, *weights))
    width = round(FRAME_PX * 161 / 121)
    cell = FRAME_PX + BAR_PX + LINE_PX + GAP_PX
    assert page.size == (8 * (width + GAP_PX) + GAP_PX, LINE_PX + 2 * GAP_PX + 2 * cell)  # ten frames in two rows
    pixels = np.asarray(page)
    for place in range(10):
        left, top = GAP_PX + place % 8 * (width + GAP_PX), LINE_PX + 2 * GAP_PX + place // 8 * cell
        assert read_number(pixels[top : top + FRAME_PX, left : left + width]) == 3 * place
        column = pixels[top + FRAME_PX : top + FRAME_PX + BAR_PX + 1, left + width // 2]
        height = (column == ORANGE).all(axis=1).sum()
        assert height == pytest.approx(weights[place] * (BAR_PX - GAP_PX) + 1, abs=1)
    assert (pixels[GAP_PX : GAP_PX + LINE_PX] < 100).any()  # the guesses


def test_without_weights_there_are_no_bars(video: Path) -> None:
    page = plot_saliency(predicted(video), video.read_bytes())
    assert page.height == LINE_PX + 2 * GAP_PX + 2 * (FRAME_PX + LINE_PX + GAP_PX)
    assert not (np.asarray(page) == ORANGE).all(axis=2).any()
    frames = decode_frames(video, range(40))
    assert np.array_equal(np.asarray(plot_saliency(predicted(video), frames)).shape, np.asarray(page).shape)


def test_what_can_not_be_plotted(video: Path) -> None:
    for prediction in (Prediction("a", error="a: not a video"), Prediction("a", 4, 1.0, GUESSES)):
        with pytest.raises(DataError, match="no frames to plot"):
            plot_saliency(prediction)
    with pytest.raises(DataError, match="9 frames: is no file here. Give the video"):
        plot_saliency(Prediction("9 frames", 9, 1.0, GUESSES, looked_at=(1,), times=(0.1,)))


@pytest.mark.parametrize("saliency", [(), tuple(FrameWeight(10 * n, float(n), 0.25) for n in range(4))])
def test_a_rendered_video_keeps_frames_and_times(
    video: Path, tmp_path: Path, saliency: tuple[FrameWeight, ...]
) -> None:
    windows = (Window(0, 2, GUESSES, saliency), Window(2, 4, GUESSES[1:], saliency))
    prediction = Prediction(str(video), 40, 4.0, GUESSES, timeline=windows)
    render_video(prediction, VideoFile(str(video)), tmp_path / "out.mp4")
    facts = probe_video(tmp_path / "out.mp4")
    band = FILM_LINES * LINE_PX + GAP_PX + (BAR_PX if saliency else 0)
    assert (facts.frames, facts.fps, facts.width, facts.height) == (40, 10.0, 322, 242 + band)  # twice as large
    frames = decode_frames(tmp_path / "out.mp4", range(40))
    assert [read_number(frame[:242]) for frame in frames] == list(range(40))
    rows = (frames[[5, 35], 242:] > 180).all(axis=3).mean(axis=2)  # frame, row: white letters, pale bars
    assert rows[0, :LINE_PX].any()
    assert rows[0, LINE_PX : 2 * LINE_PX].any()
    assert rows[1, :LINE_PX].any()
    assert not rows[1, LINE_PX : FILM_LINES * LINE_PX].any()  # one guess in this window
    orange = (np.abs(frames[:, -GAP_PX - 5].astype(int) - ORANGE) < 60).all(axis=2)  # frame, column
    if saliency:  # of four equal bars the one whose frame was reached
        assert [int(np.flatnonzero(row).mean() // (322 / 4)) for row in orange] == [
            number // 10 for number in range(40)
        ]
    else:
        assert not orange.any()
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_part_is_rendered_from_its_beginning(video: Path, tmp_path: Path) -> None:
    prediction = Prediction(str(video), 40, 4.0, GUESSES)
    render_video(prediction, VideoFile(str(video)), tmp_path / "out.mp4", start=1.0, end=2.0)
    with av.open(str(tmp_path / "out.mp4")) as film:
        times = [float(frame.time) for frame in film.decode(video=0)]
    assert times == pytest.approx([number / 10 for number in range(10)], abs=2e-3)
    with pytest.raises(DataError, match="no frames in this part"):
        render_video(prediction, VideoFile(str(video)), tmp_path / "late.mp4", start=9.0)
    late = replace(prediction, seconds=0.0)
    with pytest.raises(DataError, match="timed out"):
        render_video(late, VideoFile(str(video)), tmp_path / "late.mp4", timeout_seconds=1e-6)
    with pytest.raises(DataError, match="not a video"):
        render_video(Prediction("a", error="a: not a video"), VideoFile(str(video)), tmp_path / "late.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
