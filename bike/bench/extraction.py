"""Extraction measured: ours, the ffmpeg command line, and plain decoder loops."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bike.bench.clips import ClipSet
from bike.bench.results import Measurement, in_turns
from bike.errors import BikeError
from bike.extract.ffmpeg import ffmpeg_binary, ffmpeg_python
from bike.extract.run import extract_videos
from bike.extract.task import jpeg_quality
from bike.params import Extract
from bike.video.picture import scaled_size
from bike.workers.pool import run_tasks
from bike.workers.worker import has_module

OURS, FFMPEG = "ours", "ffmpeg command line"
BICUBIC, BILINEAR = "decoder loop, bicubic", "decoder loop, bilinear"
SHORT_SIDE = 256  # px
QUALITY = 2  # as of ffmpeg's -q:v


@dataclass(frozen=True, slots=True)
class LoopTask:
    """A video, the folder for its frames, and their size in px."""

    path: str
    folder: str
    width: int
    height: int


Loop = Callable[[LoopTask], int]


def measure_extraction(
    paths: Sequence[Path], clips: ClipSet, scratch: Path, *, rounds: int, jobs: int
) -> list[Measurement]:
    """Frames per second of each way to extract, in turns, and the bytes of its frames.

    Args:
        paths: the videos, all in one folder.
        clips: what they are.
        scratch: folder for the frames, which are removed at once.
        rounds: how many times each.
        jobs: videos at a time.
    """
    ways: dict[str, Callable[[Sequence[Path], int, Path], None]] = {
        OURS: _ours,
        FFMPEG: _ffmpeg,
        **{name: partial(_plain, clips, loop) for name, loop in plain_loops().items()},
    }
    speed, size = f"extraction, {clips.name} → {SHORT_SIDE}", f"size of a frame, {clips.name} → {SHORT_SIDE}"
    rows: list[Measurement] = []
    for number, name in in_turns(list(ways), rounds):
        scratch.mkdir()
        start = time.perf_counter()
        ways[name](paths, jobs, scratch)
        seconds = time.perf_counter() - start
        rows.append(Measurement(speed, name, number, clips.total_frames / seconds, "frames/s"))
        if number == 0:
            total = sum(path.stat().st_size for path in scratch.rglob("*") if path.suffix in (".jpg", ".mjpg"))
            rows.append(Measurement(size, name, 0, total / clips.total_frames, "B"))
        shutil.rmtree(scratch)
    return rows


def _ours(paths: Sequence[Path], jobs: int, target: Path) -> None:
    options = Extract(short_side=SHORT_SIDE, quality=QUALITY)
    extract_videos(paths[0].parent, target, jobs=jobs, options=options, strict=True)


def _ffmpeg(paths: Sequence[Path], jobs: int, target: Path) -> None:
    with ThreadPoolExecutor(jobs) as pool:
        for status in pool.map(partial(_run_ffmpeg, target), paths):
            if status:
                raise BikeError(f"ffmpeg: exit status {status} on a video that was made for this measurement.")


def _run_ffmpeg(target: Path, path: Path) -> int:
    folder = target / path.stem
    folder.mkdir()
    options: dict[str, Any] = {"vf": f"scale=-2:{SHORT_SIDE}", "q:v": QUALITY, "loglevel": "error"}
    graph = ffmpeg_python().input(str(path)).output(str(folder / "img_%05d.jpg"), **options)
    return subprocess.run([*graph.compile(cmd=ffmpeg_binary()), "-nostdin"], check=False).returncode


def _plain(clips: ClipSet, loop: Loop, paths: Sequence[Path], jobs: int, target: Path) -> None:
    width, height = scaled_size(clips.width, clips.height, None, SHORT_SIDE)
    tasks = [LoopTask(str(path), str(target / path.stem), width, height) for path in paths]
    for outcome in run_tasks(loop, tasks, jobs=jobs):
        outcome.get()


def plain_decoder() -> str:
    """The decoder of the loops that we compare with: decord where it is installed, otherwise PyAV's plain interface."""
    return "decord" if has_module("decord") else "PyAV"


def plain_loops() -> dict[str, Loop]:
    """The loops by name; each returns how many frames it wrote.

    Both of decord's are there because its own scaling is bilinear, which takes half the time of the bicubic scaling
    that ffmpeg's command line and we do; in a loop that is bicubic as well, PIL scales what the decoder gives.
    """
    if plain_decoder() == "decord":
        return {BICUBIC: decord_loop, BILINEAR: decord_scaled_loop}
    return {BICUBIC: pyav_loop}


def decord_loop(task: LoopTask) -> int:
    """Decord decodes, PIL scales and writes one JPEG file a frame."""
    return _write(task, _decord_pictures(task.path))


def decord_scaled_loop(task: LoopTask) -> int:
    """Decord decodes and scales, PIL writes one JPEG file a frame."""
    return _write(task, _decord_pictures(task.path, width=task.width, height=task.height))


def pyav_loop(task: LoopTask) -> int:
    """PyAV decodes, PIL scales and writes one JPEG file a frame."""
    import av

    with av.open(task.path) as container:
        frames: Iterator[Any] = container.decode(video=0)
        return _write(task, (frame.to_image() for frame in frames))


def _decord_pictures(path: str, **size: int) -> Iterator[Any]:
    import decord
    from PIL import Image

    decord.logging.set_level(decord.logging.QUIET)
    reader = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1, **size)
    for _ in range(len(reader)):
        yield Image.fromarray(reader.next().asnumpy())


def _write(task: LoopTask, pictures: Iterator[Any]) -> int:
    from PIL.Image import Resampling

    os.mkdir(task.folder)  # noqa: PTH102
    number = 0
    for number, picture in enumerate(pictures, start=1):
        if picture.size != (task.width, task.height):
            picture = picture.resize((task.width, task.height), Resampling.BICUBIC)
        picture.save(f"{task.folder}/img_{number:05d}.jpg", quality=jpeg_quality(QUALITY))
    return number
