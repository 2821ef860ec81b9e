"""Extraction measured: ours, the ffmpeg command line, and plain decoder loops."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
ALL, SAMPLED = "all frames", "some frames"
BICUBIC, BILINEAR = "decoder loop, bicubic", "decoder loop, bilinear"
SHORT_SIDE = 256  # px
QUALITY = 2  # as of ffmpeg's -q:v

Size = tuple[int, int]
Decode = Callable[[str, Size], Iterator[Any]]  # the frames of a video as PIL images; the size may be theirs or not


def measure_extraction(
    paths: Sequence[Path], clips: ClipSet, scratch: Path, *, rounds: int, jobs: int
) -> list[Measurement]:
    """Frames per second of each way to extract videos of one folder, in turns, and the bytes of its frames.

    The frames go below ``scratch``, and are removed at once; ``jobs`` videos are worked on at a time.
    """
    size = scaled_size(clips.width, clips.height, None, SHORT_SIDE)
    ways: dict[str, Callable[[Sequence[Path], int, Path], None]] = {
        OURS: _ours,
        FFMPEG: _ffmpeg,
        **{name: partial(_plain, decode, size) for name, decode in plain_loops().items()},
    }
    kind = f"{clips.name} → {SHORT_SIDE}"
    rows: list[Measurement] = []
    for number, name in in_turns(list(ways), rounds):
        scratch.mkdir()
        start = time.perf_counter()
        ways[name](paths, jobs, scratch)
        seconds = time.perf_counter() - start
        rows.append(Measurement(f"extraction, {kind}", name, number, clips.total_frames / seconds, "frames/s"))
        if number == 0:
            total = sum(path.stat().st_size for path in scratch.rglob("*") if path.suffix in (".jpg", ".mjpg"))
            rows.append(Measurement(f"size of a frame, {kind}", name, 0, total / clips.total_frames, "B"))
        shutil.rmtree(scratch)
    return rows


def measure_sampling(
    paths: Sequence[Path], clips: ClipSet, scratch: Path, *, rounds: int, jobs: int
) -> list[Measurement]:
    """Videos per second of our extraction with all frames and with some, in turns, and bytes of a video's frames."""
    rows: list[Measurement] = []
    for number, name in in_turns([ALL, SAMPLED], rounds):
        scratch.mkdir()
        start = time.perf_counter()
        _ours(paths, jobs, scratch, None if name == ALL else num_sampled(clips))
        seconds = time.perf_counter() - start
        rows.append(Measurement(sampling_measure(clips), name, number, clips.videos / seconds, "videos/s"))
        if number == 0:
            total = sum(path.stat().st_size for path in scratch.glob("*.mjpg"))
            rows.append(Measurement(f"{sampling_measure(clips)}, bytes", name, 0, total / clips.videos, "B"))
        shutil.rmtree(scratch)
    return rows


def num_sampled(clips: ClipSet) -> int:
    """How many frames are kept where some are: 32, as the presets of one clip have it, and fewer of short videos."""
    return min(32, clips.frames // 2)


def sampling_measure(clips: ClipSet) -> str:
    """Such as ``extraction, 340×256 → 256, 32 of 300 frames``."""
    return f"extraction, {clips.name} → {SHORT_SIDE}, {num_sampled(clips)} of {clips.frames} frames"


def _ours(paths: Sequence[Path], jobs: int, target: Path, frames_per_video: int | None = None) -> None:
    options = Extract(short_side=SHORT_SIDE, quality=QUALITY, frames_per_video=frames_per_video)
    extract_videos(paths[0].parent, target, jobs=jobs, options=options, strict=True)


def _ffmpeg(paths: Sequence[Path], jobs: int, target: Path) -> None:
    options: dict[str, Any] = {"vf": f"scale=-2:{SHORT_SIDE}", "q:v": QUALITY, "loglevel": "error"}

    def run(path: Path) -> int:
        (target / path.stem).mkdir()
        graph = ffmpeg_python().input(str(path)).output(str(target / path.stem / "img_%05d.jpg"), **options)
        return subprocess.run([*graph.compile(cmd=ffmpeg_binary()), "-nostdin"], check=False).returncode

    with ThreadPoolExecutor(jobs) as pool:
        if status := max(pool.map(run, paths), key=abs):
            raise BikeError(f"ffmpeg: exit status {status} on a video that was made for this measurement.")


def _plain(decode: Decode, size: Size, paths: Sequence[Path], jobs: int, target: Path) -> None:
    for outcome in run_tasks(partial(_write_frames, decode, size, target), list(paths), jobs=jobs):
        outcome.get()


def _write_frames(decode: Decode, size: Size, target: Path, path: Path) -> None:
    """One JPEG file a frame, by PIL, which also scales what the decoder has not."""
    from PIL.Image import Resampling

    folder = target / path.stem
    folder.mkdir()
    for number, picture in enumerate(decode(str(path), size), start=1):
        if picture.size != size:
            picture = picture.resize(size, Resampling.BICUBIC)
        picture.save(f"{folder}/img_{number:05d}.jpg", quality=jpeg_quality(QUALITY))


def plain_decoder() -> str:
    """The decoder of the loops that we compare with: decord where it is installed, otherwise PyAV's plain interface."""
    return "decord" if has_module("decord") else "PyAV"


def plain_loops() -> dict[str, Decode]:
    """The loops by name.

    Both of decord's are there because its own scaling is bilinear, which takes half the time of the bicubic scaling
    that ffmpeg's command line and we do; in a loop that is bicubic as well, PIL scales what the decoder gives.
    """
    if plain_decoder() == "decord":
        return {BICUBIC: partial(_decord, scaled=False), BILINEAR: partial(_decord, scaled=True)}
    return {BICUBIC: _pyav}


def _pyav(path: str, _size: Size) -> Iterator[Any]:
    import av

    with av.open(path) as container:
        frames: Iterator[Any] = container.decode(video=0)
        yield from (frame.to_image() for frame in frames)


def _decord(path: str, size: Size, *, scaled: bool) -> Iterator[Any]:
    import decord
    from PIL import Image

    decord.logging.set_level(decord.logging.QUIET)
    sides = {"width": size[0], "height": size[1]} if scaled else {}
    reader = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1, **sides)
    for _ in range(len(reader)):
        yield Image.fromarray(reader.next().asnumpy())
