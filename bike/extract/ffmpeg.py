"""Extraction by the ffmpeg command line: one process per video, arguments in a list, never a shell."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import repeat
from typing import IO, Any, TypeVar

from av.video.reformatter import ColorRange

from bike.errors import BikeError, DataError, one_line
from bike.extract.output import FrameOutput
from bike.extract.rate import resample
from bike.extract.task import Task
from bike.formats.kept import KeptFrames, placed_frames
from bike.formats.packs import add_checksum, split_stream
from bike.records import VideoRecord
from bike.video.container import FORMATS, MAX_PIXELS
from bike.video.file import UnreadableError, VideoFile
from bike.video.picture import PicturePlan, color_matrix, color_range, is_limited_gray, plan_picture
from bike.video.stream import open_video

Item = TypeVar("Item")

_MATRIX_NAMES = {1: "bt709", 4: "fcc", 5: "bt601", 7: "smpte240m", 9: "bt2020"}
# What ffmpeg logs where PyAV finds damage or has a remark; it only warns of a picture that it patched up.
_TROUBLE = re.compile(rb"\[(error|fatal|panic)\]|corrupt|changing video frame properties", re.IGNORECASE)
_PLACEHOLDER = "the video"
_SETPARAMS_NAMES = {"bt601": "smpte170m", "bt2020": "bt2020nc"}  # where setparams and scale spell a matrix differently
_BLOCK_BYTES = 1 << 18


def ffmpeg_binary() -> str:
    """Path of the ffmpeg that imageio-ffmpeg brings (or that ``IMAGEIO_FFMPEG_EXE`` names).

    Raises:
        BikeError: this machine has none.
    """
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise BikeError(
            f"ffmpeg: no binary ({one_line(error)}). Set IMAGEIO_FFMPEG_EXE, or use --backend pyav."
        ) from None


def ffmpeg_python() -> Any:
    """The module ``ffmpeg`` of the package ffmpeg-python.

    Raises:
        BikeError: another package took its place; several share the name.
    """
    import ffmpeg

    if not hasattr(ffmpeg, "input"):
        raise BikeError(
            "ffmpeg: another Python package of that name hides ffmpeg-python. "
            "Run `pip uninstall ffmpeg python-ffmpeg` and `pip install ffmpeg-python`."
        )
    return ffmpeg


def write_with_ffmpeg(task: Task, output: FrameOutput) -> tuple[VideoRecord, str]:
    """Decode and encode with ffmpeg and add each JPEG to ``output``.

    The size, orientation and colours are read with PyAV from the first picture. Where ffmpeg reports anything wrong,
    or gives fewer frames than the index promises, the video is decoded once more with PyAV, which says how many are
    sound; only those are kept. For a rate or a limit of frames PyAV decodes first, and says which frames are wanted.

    Returns:
        As :func:`bike.extract.video.write_with_pyav`.

    Raises:
        UnreadableError: no picture decodes.
        BikeError: no ffmpeg.
    """
    recipe = task.recipe
    with task.file.open() as file, open_video(file) as video:
        first = next(iter(video.frames()))
        plan = plan_picture(first, video.pixel_aspect, recipe.short_side_px)
        index, colors = video.index, _color_options(first)
        expected, remark = video.expected or 0, video.remark
    row = VideoRecord(task.key, task.path, "ok", width=plan.width, height=plan.height)
    survey, frames = None, KeptFrames.all_of(0)
    copies: dict[int, int] = {}  # of each of ffmpeg's frames, where not all are wanted
    if recipe.fps is not None or recipe.frames_per_video is not None:
        survey = _survey(task.file)
        sources = [
            number for number, times in _resampled(range(len(survey.times)), survey, recipe.fps) for _ in range(times)
        ]
        frames = KeptFrames(len(sources), placed_frames(len(sources), recipe.frames_per_video))
        copies = Counter(sources[number] for number in frames.indices) if frames.text else {}
    command = _command(task.file, index, plan, colors, recipe.quality, sorted(copies))

    def times_of(jpegs: Iterator[bytes]) -> Iterable[tuple[bytes, int]]:
        if copies:
            return zip(jpegs, (copies[number] for number in sorted(copies)), strict=False)
        return zip(jpegs, repeat(1)) if survey is None else _resampled(jpegs, survey, recipe.fps)

    with tempfile.TemporaryFile() as complaints:
        count, status = _run(command, output, complaints, times_of)
        complaints.seek(0)
        text = one_line(b"".join(filter(_TROUBLE.search, complaints)).decode(errors="replace"))[-200:]
    if survey is None and not status and not text and count and count >= expected:
        with task.file.open() as file, open_video(file) as video:
            video.skim()
            if not video.missing_end(count):
                return replace(row, frames=count, fps=video.fps(count), error=remark), ""
    survey = survey or _survey(task.file)
    damage = survey.damage
    if count == 0:
        raise UnreadableError(damage or f"ffmpeg failed: {text or status}")
    if count < (wanted := len(copies or survey.times)):
        damage = damage or f"damaged: ffmpeg gives {count} of {wanted} frames"
        if copies:  # which of them came is not known
            raise UnreadableError(damage)
    elif recipe.fps is None and not copies:
        output.keep_first(len(survey.times))
    total = frames.num_frames if copies else output.num_frames
    return replace(row, frames=total, fps=recipe.fps or survey.fps, error=survey.remark, kept=frames.text), damage


@dataclass(frozen=True, slots=True)
class _Survey:
    """What decoding a video with PyAV shows: the time of each sound frame, their rate, and what is wrong."""

    times: list[float]
    frame_seconds: float
    fps: float
    damage: str
    remark: str


def _survey(file: VideoFile) -> _Survey:
    with file.open() as opened, open_video(opened) as video:
        times = [video.moment_seconds for _ in video.frames()]
        return _Survey(times, video.frame_seconds(), video.fps(), video.damage, video.remark)


def _resampled(frames: Iterable[Item], survey: _Survey, fps: float | None) -> Iterable[tuple[Item, int]]:
    """Frames that PyAV finds sound, with how often each is wanted at a rate."""
    timed = zip(frames, survey.times, strict=False)
    if fps is None:
        return ((frame, 1) for frame, _ in timed)
    return resample(timed, fps, lambda: survey.frame_seconds)


def _color_options(frame: Any) -> dict[str, str]:
    options = {"out_range": "full", "out_color_matrix": "bt601"}
    if is_limited_gray(frame):
        options["gray"] = "clip((val-16)*255/219,0,255)"
    elif not frame.format.is_rgb:
        options["in_range"] = "full" if color_range(frame) == ColorRange.JPEG else "limited"
        options["in_color_matrix"] = _MATRIX_NAMES[int(color_matrix(frame))]
    return options


def _command(
    file: VideoFile, index: int, plan: PicturePlan, colors: dict[str, str], quality: int, chosen: Sequence[int]
) -> list[str]:
    ffmpeg = ffmpeg_python()
    # The same fences as in bike.video.stream: playlists must not lead to other files or addresses.
    limits = {"format_whitelist": FORMATS, "protocol_whitelist": "file,subfile", "max_pixels": MAX_PIXELS}
    stream = ffmpeg.input(_PLACEHOLDER, noautorotate=None, threads=1, reinit_filter=0, **limits)[str(index)]
    if chosen:  # the others are decoded, no more
        stream = stream.filter("select", "+".join(f"eq(n,{number})" for number in chosen))
    if stretch := colors.pop("gray", None):
        stream = stream.filter("format", "gray").filter("lut", stretch)
    if "in_range" in colors:  # frames may state a system that the scaler does not know
        matrix = colors["in_color_matrix"]
        stream = stream.filter("setparams", colorspace=_SETPARAMS_NAMES.get(matrix, matrix), range=colors["in_range"])
    stream = stream.filter("scale", plan.scaled_width, plan.scaled_height, flags="bicubic+bitexact", **colors)
    if plan.turn.transpose:
        stream = stream.filter("transpose", "cclock_flip")
    if plan.turn.mirror_columns:
        stream = stream.filter("hflip")
    if plan.turn.mirror_rows:
        stream = stream.filter("vflip")
    # One frame a second: the encoder drops frames whose own times do not rise.
    stream = stream.filter("setsar", 1).filter("format", "yuvj420p").filter("setpts", "N/TB")
    # qmin: without it, ffmpeg takes 2 for quality 1. bitexact: no version of ffmpeg in the JPEGs.
    settings = {"q:v": quality, "qmin": 1, "fps_mode": "passthrough", "threads": 1, "bitexact": None}
    stream = stream.output("pipe:1", format="mjpeg", vcodec="mjpeg", **settings)
    stream = stream.global_args("-nostdin", "-hide_banner", "-v", "level+warning")
    command: list[str] = ffmpeg.compile(stream, cmd=ffmpeg_binary())
    command[command.index(_PLACEHOLDER)] = _address(file)  # ffmpeg-python itself takes UTF-8 names only
    return command


def _address(file: VideoFile) -> str:
    """The file as ffmpeg wants it; the protocol is spelt out, so that no name is taken for an option or an address."""
    path = f"file:{os.path.abspath(file.path)}"  # noqa: PTH100 (keeps the name as it is)
    if file.num_bytes is None:
        return path
    return f"subfile,,start,{file.start},end,{file.start + file.num_bytes},,:{path}"


def _run(
    command: list[str],
    output: FrameOutput,
    complaints: IO[bytes],
    times_of: Callable[[Iterator[bytes]], Iterable[tuple[bytes, int]]],
) -> tuple[int, int]:
    """Run ffmpeg and add its frames as many times as ``times_of`` says; how many came, and the exit status."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints)
    count = 0

    def jpegs() -> Iterator[bytes]:
        nonlocal count
        with suppress(DataError):  # it stopped within a frame; the caller counts
            for jpeg in split_stream(_blocks(process)):
                count += 1
                yield add_checksum(jpeg)

    try:
        for jpeg, times in times_of(jpegs()):
            for _ in range(times):
                output.add(jpeg)
    finally:
        process.kill()
        if process.stdout is not None:
            process.stdout.close()
        status = process.wait()
    return count, status


def _blocks(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    if process.stdout is None:
        raise ValueError("no pipe")
    while block := process.stdout.read(_BLOCK_BYTES):
        yield block
    process.wait()  # its own exit status counts, not that of the kill to come
