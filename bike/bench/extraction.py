"""Extraction measured: ours, the ffmpeg command line and a plain decoder loop; and what each step alone takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import simplejpeg

from bike.bench.clips import ClipSet
from bike.bench.results import Measurement
from bike.errors import BikeError
from bike.extract.ffmpeg import ffmpeg_binary, ffmpeg_python
from bike.extract.run import extract_videos
from bike.extract.task import jpeg_quality
from bike.params import Extract
from bike.video.file import VideoFile
from bike.video.picture import PictureConverter, plan_picture, scaled_size
from bike.video.stream import open_video
from bike.workers.pool import run_tasks
from bike.workers.worker import has_module

OURS, FFMPEG = "ours", "ffmpeg command line"
PARTS = ("decode", "scale", "encode", "write one file")
PER_FRAMES = 300
_LIMIT_SECONDS = 600.0


def measure_extraction(
    paths: list[Path], clips: ClipSet, scratch: Path, *, rounds: int, jobs: int
) -> list[Measurement]:
    """Frames per second of each way to extract, in turns, and the bytes of its frames.

    Args:
        paths: the videos.
        clips: what they are.
        scratch: folder for the frames, which are removed at once.
        rounds: how many times each.
        jobs: videos at a time.
    """
    short_side = 256
    runs: dict[str, Callable[[Path], None]] = {
        OURS: partial(_ours, paths, short_side, jobs),
        FFMPEG: partial(_ffmpeg, paths, short_side, jobs),
        **{name: partial(_plain, paths, short_side, jobs, clips, loop) for name, loop in plain_loops().items()},
    }
    measure = f"extraction, {clips.name} → {short_side}"
    rows: list[Measurement] = []
    for number in range(rounds):
        names = list(runs)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            target = scratch / "out"
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            start = time.perf_counter()
            runs[name](target)
            seconds = time.perf_counter() - start
            rows.append(Measurement(measure, name, number, clips.total_frames / seconds, "frames/s"))
            if number == 0:
                size = sum(path.stat().st_size for path in target.rglob("*") if path.suffix in (".jpg", ".mjpg"))
                rows.append(
                    Measurement(f"size of a frame, {clips.name} → 256", name, 0, size / clips.total_frames, "B")
                )
    shutil.rmtree(scratch / "out", ignore_errors=True)
    return rows


def _ours(paths: list[Path], short_side: int, jobs: int, target: Path) -> None:
    extract_videos(
        paths[0].parent, target, jobs=jobs, options=Extract(short_side=short_side, quality=QUALITY), strict=True
    )


def _ffmpeg(paths: list[Path], short_side: int, jobs: int, target: Path) -> None:
    commands = [_ffmpeg_command(path, short_side, target / path.stem) for path in paths]
    with ThreadPoolExecutor(jobs) as pool:
        for status in pool.map(_run_command, commands):
            if status:
                raise BikeError(f"ffmpeg: exit status {status} on a video that was made for this measurement.")


def _ffmpeg_command(path: Path, short_side: int, folder: Path) -> list[str]:
    folder.mkdir()
    graph = ffmpeg_python().input(str(path))
    options: dict[str, Any] = {"vf": f"scale=-2:{short_side}", "q:v": QUALITY, "loglevel": "error"}
    command: list[str] = graph.output(str(folder / "img_%05d.jpg"), **options).compile(cmd=ffmpeg_binary())
    return [*command, "-nostdin"]


def _run_command(command: list[str]) -> int:
    return subprocess.run(command, check=False).returncode


def _plain(
    paths: list[Path], short_side: int, jobs: int, clips: ClipSet, loop: Callable[[LoopTask], int], target: Path
) -> None:
    width, height = scaled_size(clips.width, clips.height, None, short_side)
    tasks = [LoopTask(str(path), str(target / path.stem), width, height) for path in paths]
    for outcome in run_tasks(loop, tasks, jobs=jobs, timeout_seconds=_LIMIT_SECONDS):
        if outcome.error is not None:
            raise outcome.error


def measure_parts(paths: list[Path], clips: ClipSet, scratch: Path, *, jobs: int, rounds: int) -> list[Measurement]:
    """Seconds of a core that each step of our extraction takes for 300 frames, ``jobs`` videos at a time."""
    measure = f"steps of extraction, {clips.name} → 256, {PER_FRAMES} frames"
    rows = []
    scratch.mkdir(parents=True, exist_ok=True)
    chosen = paths[: max(clips.distinct, jobs)]
    for number in range(rounds):
        totals: dict[str, float] = {}
        tasks = [(str(path), str(scratch / path.stem)) for path in chosen]
        for outcome in run_tasks(_time_parts, tasks, jobs=jobs, timeout_seconds=_LIMIT_SECONDS):
            if outcome.value is None:
                raise outcome.error or BikeError("no result")
            for name, seconds in outcome.value.items():
                totals[name] = totals.get(name, 0.0) + seconds
        scale = PER_FRAMES / (clips.frames * len(chosen))
        rows += [Measurement(measure, name, number, seconds * scale, "s") for name, seconds in totals.items()]
    return rows


def _time_parts(task: tuple[str, str]) -> dict[str, float]:
    """Seconds for each step over one video; the frames are then written again, as one file and as many."""
    path, target = task
    now = time.perf_counter
    seconds = dict.fromkeys(PARTS, 0.0)
    jpegs: list[bytes] = []
    with VideoFile(path).open() as file, open_video(file) as video:
        converter: PictureConverter | None = None
        begin = now()
        for frame in video.frames():
            decoded = now()
            converter = converter or PictureConverter(plan_picture(frame, video.pixel_aspect, 256))
            planes = converter.yuv_planes(frame)
            scaled = now()
            jpegs.append(simplejpeg.encode_jpeg_yuv_planes(*planes, quality=jpeg_quality(QUALITY)))
            seconds["decode"] += decoded - begin
            seconds["scale"] += scaled - decoded
            begin = now()
            seconds["encode"] += begin - scaled
        seconds["decode"] += now() - begin
    begin = now()
    with Path(f"{target}.mjpg").open("wb") as file:
        for jpeg in jpegs:
            file.write(jpeg)
    seconds["write one file"] = now() - begin
    begin = now()
    os.mkdir(target)  # noqa: PTH102
    for number, jpeg in enumerate(jpegs):
        with open(f"{target}/img_{number:05d}.jpg", "wb") as file:  # noqa: PTH123
            file.write(jpeg)
    seconds["write a file a frame"] = now() - begin
    shutil.rmtree(target)
    return seconds


QUALITY = 2


BICUBIC, BILINEAR = "decoder loop, bicubic", "decoder loop, bilinear"


@dataclass(frozen=True, slots=True)
class LoopTask:
    """A video, the folder for its frames, and their size in px."""

    path: str
    folder: str
    width: int
    height: int


def plain_decoder() -> str:
    """The decoder of the loops that we compare with: decord where it is installed, otherwise PyAV's plain interface."""
    return "decord" if has_module("decord") else "PyAV"


def plain_loops() -> dict[str, Callable[[LoopTask], int]]:
    """The loops by name; each returns how many frames it wrote.

    Both of decord's are there because its own scaling is bilinear, which takes half the time of the bicubic scaling
    that ffmpeg's command line and we do; in a loop that is bicubic as well, PIL scales what the decoder gives.
    """
    if plain_decoder() == "decord":
        return {BICUBIC: decord_loop, BILINEAR: decord_scaled_loop}
    return {BICUBIC: pyav_loop}


def decord_loop(task: LoopTask) -> int:
    """Decord decodes, PIL scales and writes one JPEG file a frame."""
    pictures = _decord_pictures(task.path)
    return _write(task, (picture.resize((task.width, task.height), _bicubic()) for picture in pictures))


def decord_scaled_loop(task: LoopTask) -> int:
    """Decord decodes and scales, PIL writes one JPEG file a frame."""
    return _write(task, _decord_pictures(task.path, width=task.width, height=task.height))


def pyav_loop(task: LoopTask) -> int:
    """PyAV decodes, PIL scales and writes one JPEG file a frame."""
    import av

    with av.open(task.path) as container:
        frames: Iterator[Any] = container.decode(video=0)
        return _write(task, (frame.to_image().resize((task.width, task.height), _bicubic()) for frame in frames))


def _decord_pictures(path: str, **size: int) -> Iterator[Any]:
    import decord
    from PIL import Image

    decord.logging.set_level(decord.logging.QUIET)
    reader = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1, **size)
    for _ in range(len(reader)):
        yield Image.fromarray(reader.next().asnumpy())


def _bicubic() -> Any:
    from PIL import Image

    return Image.Resampling.BICUBIC


def _write(task: LoopTask, pictures: Iterator[Any]) -> int:
    os.mkdir(task.folder)  # noqa: PTH102
    number = 0
    for number, picture in enumerate(pictures, start=1):
        picture.save(f"{task.folder}/img_{number:05d}.jpg", quality=jpeg_quality(QUALITY))
    return number
