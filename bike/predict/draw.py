"""Predictions as pictures: a strip of the frames that were looked at, and the video with what the model says of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import chain
from math import inf
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bike.errors import DataError, one_line
from bike.files import atomic_write, sweep_file
from bike.predict.footage import Footage, absolute, in_helper
from bike.predict.result import FrameWeight, Guess, Prediction, Window
from bike.predict.seek import opened
from bike.video.decode import Frames, VideoInput
from bike.video.file import UnreadableError, VideoFile
from bike.video.picture import PictureConverter, plan_picture
from bike.video.stream import VideoStream, open_video

COLUMNS = 8  # frames of a strip side by side
FRAME_PX, BAR_PX, LINE_PX, GAP_PX = 120, 40, 20, 4
FILM_PX = 480  # short side of a rendered video's pictures, at most
FILM_WIDTH_PX = 320  # at least: smaller ones are enlarged
FILM_LINES = 3  # guesses shown
RENDER_SECONDS = 10.0  # that drawing into a second of video may take
TICK = Fraction(1, 1000)  # seconds, of a rendered video
_INK, _PAPER, _BAR, _PALE = "#202020", "#ffffff", "#d9541e", "#c8c8c8"


def plot_saliency(prediction: Prediction, video: VideoInput | Frames | None = None) -> Image.Image:
    """The frames that a prediction looked at, each with its time and, where the model weighs them, its weight as a bar.

    Args:
        prediction: of a video as a whole, not of windows.
        video: what it was made of; None for the file that the prediction names.

    Raises:
        DataError: there are no such frames, or they can't be read.
    """
    if not prediction.looked_at:
        reason = prediction.error or "the prediction is of several windows; make one of a part, with a start and an end"
        raise DataError(f"{one_line(prediction.video)}: no frames to plot ({reason}).")
    if video is None and not Path(prediction.video).is_file():
        raise DataError(f"{one_line(prediction.video)}: is no file here. Give the video that the prediction is of.")
    footage = Footage(prediction.video if video is None else video, short_side=FRAME_PX)
    frames = footage.frames(prediction.looked_at)
    columns, rows = min(COLUMNS, len(frames)), -(-len(frames) // COLUMNS)
    width = round(FRAME_PX * frames.shape[2] / frames.shape[1])
    bars = BAR_PX if prediction.saliency else 0
    cell = FRAME_PX + bars + LINE_PX + GAP_PX
    page = Image.new("RGB", (columns * (width + GAP_PX) + GAP_PX, LINE_PX + 2 * GAP_PX + rows * cell), _PAPER)
    draw = ImageDraw.Draw(page)
    _text(draw, (GAP_PX, GAP_PX), _guess_text(prediction.guesses), page.width - 2 * GAP_PX)
    highest = max((item.weight for item in prediction.saliency), default=0.0) or 1.0
    for place, (frame, seconds) in enumerate(zip(frames, prediction.times, strict=True)):
        left = GAP_PX + place % columns * (width + GAP_PX)
        top = LINE_PX + 2 * GAP_PX + place // columns * cell
        page.paste(Image.fromarray(frame).resize((width, FRAME_PX), Image.Resampling.LANCZOS), (left, top))
        bottom = top + FRAME_PX + bars
        if prediction.saliency:
            height = round((BAR_PX - GAP_PX) * prediction.saliency[place].weight / highest)
            draw.rectangle((left, bottom - height, left + width - 1, bottom), _BAR)
        _text(draw, (left, bottom + 2), f"{seconds:.1f} s", width)
    return page


def render_video(
    prediction: Prediction,
    source: VideoInput,
    out: Path | str,
    *,
    start: float | None = None,
    end: float | None = None,
    timeout_seconds: float = 60.0,
) -> None:
    """Write a video with what the model says below its pictures, as MP4 without sound, atomically.

    Decoding and drawing happen in a helper process. Pictures keep their times; their short side has at most 480 px.

    Args:
        prediction: of the video, or of windows of it.
        source: the video.
        out: the file to write.
        start, end: the part that the prediction is of, seconds; None for the video's.
        timeout_seconds: the limit is this and ten seconds for each second of the video.

    Raises:
        DataError: there is no prediction, or the video can't be read. BikeError: the file can't be written.
    """
    if prediction.error:
        raise DataError(prediction.error)
    limit = timeout_seconds + RENDER_SECONDS * prediction.seconds
    target = Path(out).absolute()
    try:
        in_helper(prediction.video, _render, absolute(source), prediction, target, start, end, timeout_seconds=limit)
    finally:
        sweep_file(target)  # what a helper that was killed left


def _render(
    source: bytes | VideoFile, prediction: Prediction, out: Path, start: float | None, end: float | None
) -> None:
    windows = prediction.timeline or (Window(0.0, prediction.seconds, prediction.guesses, prediction.saliency),)
    with opened(source) as file, open_video(file) as video:
        pictures = _drawn_pictures(video, windows, start or 0.0, inf if end is None else end)
        first = next(pictures, None)
        if first is None:
            raise UnreadableError("no frames in this part")
        with atomic_write(out) as target, av.open(target, "w", format="mp4") as film:
            stream = film.add_stream("libx264", rate=round(video.fps()) or 25, options={"preset": "veryfast"})
            stream.pix_fmt, stream.codec_context.time_base = "yuv420p", TICK
            stream.height, stream.width = first[1].shape[:2]
            last = -1
            for seconds, pixels in chain([first], pictures):
                picture = VideoFrame.from_ndarray(pixels, format="rgb24")
                last = max(last + 1, round((seconds - first[0]) / TICK))
                picture.pts, picture.time_base = last, TICK
                film.mux(stream.encode(picture))
            film.mux(stream.encode())


def _drawn_pictures(
    video: VideoStream, windows: Sequence[Window], start: float, end: float
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Captioned pictures of a part of a video, and their times in seconds."""
    middles = np.array([(window.start + window.end) / 2 for window in windows])
    converter: PictureConverter | None = None
    for frame in video.frames():
        seconds = video.moment_seconds
        converter = converter or PictureConverter(plan_picture(frame, video.pixel_aspect, FILM_PX))
        if seconds >= end:
            return
        if seconds >= start:
            yield seconds, _captioned(converter.rgb(frame), windows[int(np.abs(middles - seconds).argmin())], seconds)


def _captioned(pixels: NDArray[np.uint8], window: Window, seconds: float) -> NDArray[np.uint8]:
    """A picture with the guesses of a window below it, and the weights of its frames as bars; both sides even."""
    scale = -(-FILM_WIDTH_PX // pixels.shape[1])  # text needs room
    width, height = pixels.shape[1] * scale // 2 * 2, pixels.shape[0] * scale // 2 * 2
    bars = BAR_PX if window.saliency else 0
    page = Image.new("RGB", (width, height + FILM_LINES * LINE_PX + bars + GAP_PX), _INK)
    page.paste(Image.fromarray(pixels.repeat(scale, 0).repeat(scale, 1)[:height, :width]))
    draw = ImageDraw.Draw(page)
    for line, guess in enumerate(window.guesses[:FILM_LINES]):
        _text(draw, (GAP_PX, height + line * LINE_PX), _guess_text([guess]), width - 2 * GAP_PX, _PAPER)
    if window.saliency:
        _draw_weights(draw, window.saliency, seconds, width, page.height - GAP_PX)
    return np.asarray(page)


def _draw_weights(
    draw: ImageDraw.ImageDraw, saliency: Sequence[FrameWeight], seconds: float, width: int, bottom: int
) -> None:
    highest = max(item.weight for item in saliency) or 1.0
    step = width / len(saliency)
    shown = max((n for n, item in enumerate(saliency) if item.seconds <= seconds + 1e-3), default=0)
    for place, item in enumerate(saliency):
        height = round((BAR_PX - GAP_PX) * item.weight / highest)
        box = (place * step + 1, bottom - height, (place + 1) * step - 1, bottom)
        draw.rectangle(box, _BAR if place == shown else _PALE)


def _guess_text(guesses: Sequence[Guess]) -> str:
    return "   ".join(f"{one_line(guess.name)} {100 * guess.probability:.1f} %" for guess in guesses)


def _text(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, width: int, color: str = _INK) -> None:
    """A line of text, cut to a width in px."""
    font, text = _font(), text[:500]
    if font.getlength(text) > width:
        while text and font.getlength(text + "…") > width:
            text = text[:-1]
        text += "…"
    draw.text(place, text, color, font)


@cache
def _font() -> ImageFont.FreeTypeFont:
    import matplotlib  # late: few predictions are drawn

    # Its own: Pillow's knows no letters beyond Latin ones.
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), 14)
