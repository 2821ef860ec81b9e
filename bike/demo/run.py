"""The generated data set: clips rendered, encoded with libx264 and packed into one tar, beside their annotations."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bike.demo.clips import draw_clip, render_clip
from bike.demo.scenes import CLASS_NAMES, CLASS_SLUGS
from bike.errors import BikeError, one_line
from bike.files import atomic_write, claim_folder
from bike.files.tables import write_table
from bike.params import DemoData
from bike.progress import progress
from bike.workers.pool import num_cores, run_tasks

SPLITS = ("train", "val", "test")
COLUMNS = ("path", "label", "name", "split")


@dataclass(frozen=True, slots=True)
class Clip:
    """A file of the data set: where it lies in the tar, what it shows, and how it is damaged (empty: it is not)."""

    path: str
    label: int
    split: str
    index: int
    damage: str = ""


@dataclass(frozen=True, slots=True)
class DemoDataSummary:
    """What :func:`make_demo_data` wrote."""

    videos: int
    broken: int
    classes: int
    megabytes: float


def make_demo_data(
    destination: Path | str, params: DemoData, *, jobs: int | None = None, replace: bool = False
) -> DemoDataSummary:
    """Render the demo data set: ``videos.tar`` and ``annotations.csv`` in the folder ``destination``.

    Equal parameters give equal bytes, whatever ``jobs`` is. The tar is plain and has one MP4 file (H.264 with B-frames)
    per clip under ``<class>/<number>.mp4``; the CSV has the columns path, label (from 0), name and split, and is
    written last. With ``params.broken``, files that no pipeline should accept are among both.

    Args:
        destination: folder to write into; made where it is missing.
        params: seed and numbers of clips per class.
        jobs: processes; None takes one per core.
        replace: whether a finished data set of other parameters may be thrown away.

    Raises:
        BikeError: the folder can't be written to, or no ffmpeg can be run.
    """
    destination = Path(destination)
    clips = plan_clips(params)
    jobs = jobs or num_cores()
    names = ("videos.tar", "annotations.csv")
    with (
        claim_folder(destination, "demo-data", names=names, settings=params.model_dump(), replace=replace) as output,
        output.writing("annotations.csv") as folder,
    ):
        _write_tar(folder / "videos.tar", clips, jobs, partial(make_file, seed=params.seed))
        rows = ((clip.path, clip.label, CLASS_NAMES[clip.label], clip.split) for clip in clips)
        write_table(folder / "annotations.csv", COLUMNS, rows)
    return DemoDataSummary(
        videos=sum(not clip.damage for clip in clips),
        broken=sum(bool(clip.damage) for clip in clips),
        classes=len(CLASS_NAMES),
        megabytes=(destination / "videos.tar").stat().st_size / 1e6,
    )


def _write_tar(path: Path, clips: list[Clip], jobs: int, encode: partial[bytes]) -> None:
    with (
        atomic_write(path) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        progress("demo-data", len(clips), unit="videos") as job,
    ):
        for clip, data in zip(clips, _map(encode, clips, jobs), strict=True):
            member = tarfile.TarInfo(clip.path)  # time, owner and group 0: equal clips, equal bytes
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
            job.advance()


def plan_clips(params: DemoData) -> list[Clip]:
    """All files of the data set in the order of their paths."""
    numbers = (params.train_per_class, params.val_per_class, params.test_per_class)
    clips = []
    for label, slug in enumerate(CLASS_SLUGS):
        splits = [split for split, number in zip(SPLITS, numbers, strict=True) for _ in range(number)]
        clips += [Clip(f"{slug}/{index:04d}.mp4", label, split, index) for index, split in enumerate(splits)]
        if params.broken and label < len(BROKEN):
            # Numbered after the sound ones, so that these have the same names with and without damaged files.
            damage = BROKEN[label]
            split = SPLITS[label % len(SPLITS)]
            clips.append(Clip(f"{slug}/{len(splits):04d}.mp4", label, split, len(splits), damage))
    return sorted(clips, key=lambda clip: clip.path)


def clip_generator(seed: int, clip: Clip) -> np.random.Generator:
    """The clip's own randomness, independent of how many other clips there are."""
    return np.random.default_rng([seed, SPLITS.index(clip.split), clip.label, clip.index])


def make_file(clip: Clip, *, seed: int) -> bytes:
    """Render and encode one clip, and damage it if it is to be damaged."""
    rng = clip_generator(seed, clip)
    plan = draw_clip(rng, clip.label)
    frames = list(render_clip(plan))
    if not clip.damage:
        return encode_h264(frames, plan.fps)
    return damage_file(clip.damage, frames, plan.fps, rng)


def encode_h264(frames: list[np.ndarray], fps: int, *, index_first: bool = False) -> bytes:
    """Encode frames uint8 (H, W, 3) of even height and width as an MP4 file; equal frames give equal bytes.

    Args:
        frames: at least one.
        fps: frames per second.
        index_first: put the index before the data, so that a file cut short still opens.
    """
    import ffmpeg
    import imageio_ffmpeg

    height, width = frames[0].shape[:2]
    picture = ffmpeg.input(
        "pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", framerate=fps, threads=1, loglevel="error"
    )
    options = {
        "vcodec": "libx264",
        "pix_fmt": "yuv420p",
        "preset": "veryfast",
        "crf": 20,
        "bf": 2,  # B-frames, as in videos from the web: packets are not in the order of display
        "g": 250,
        "threads": 1,  # x264 writes other bytes with another number of threads
        "x264-params": "cpu-independent=1",  # and on another processor: AVX-512 and AVX2 choose other motion vectors
        "sws_flags": "bicubic+accurate_rnd+bitexact",
        "fflags": "+bitexact",  # without the version of the library that writes it
        "flags:v": "+bitexact",
        "map_metadata": -1,
    }
    if index_first:
        options["movflags"] = "+faststart"
    with tempfile.TemporaryDirectory(prefix="bike-") as folder:
        target = Path(folder) / "clip.mp4"
        command = ffmpeg.compile(picture.output(str(target), **options), cmd=imageio_ffmpeg.get_ffmpeg_exe())
        done = subprocess.run(command, input=b"".join(frame.tobytes() for frame in frames), capture_output=True)
        if done.returncode != 0 or not target.exists():
            reason = one_line(done.stderr.decode("utf-8", "replace"))[:200]
            raise BikeError(f"ffmpeg: can't encode a clip ({reason}). Is the package imageio-ffmpeg whole?")
        return target.read_bytes()


BROKEN = ("no index", "cut short", "empty", "text", "picture", "noise", "damaged inside")


def damage_file(damage: str, frames: list[np.ndarray], fps: int, rng: np.random.Generator) -> bytes:
    """A file under a video's name that isn't a video, or only a part of one."""
    from PIL import Image

    if damage == "empty":
        return b""
    if damage == "text":
        return b"<!doctype html>\n<title>404 Not Found</title>\n<p>This video is no longer available.</p>\n"
    if damage == "noise":
        return rng.bytes(4096)
    if damage == "picture":
        target = io.BytesIO()
        Image.fromarray(frames[0]).save(target, "PNG")
        return target.getvalue()
    # The index of an MP4 file comes last unless asked for: what is cut off then takes it along, and nothing opens.
    whole = encode_h264(frames, fps, index_first=damage != "no index")
    if damage == "damaged inside":
        start, length = len(whole) // 2, len(whole) // 5
        return whole[:start] + rng.bytes(length) + whole[start + length :]
    return whole[: len(whole) * 2 // 3]


def _map(function: partial[bytes], clips: list[Clip], jobs: int) -> Iterator[bytes]:
    """Apply ``function`` to every clip in order, over processes where that pays."""
    done: dict[Clip, bytes] = {}  # what came before its turn
    with closing(run_tasks(function, clips, jobs=jobs if len(clips) >= 8 else 1)) as outcomes:
        for clip in clips:
            while clip not in done:
                outcome = next(outcomes)
                done[outcome.task] = outcome.get()
            yield done.pop(clip)
