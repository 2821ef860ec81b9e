"""What this machine offers and whether a data set looks sound: a quick look, not a full verification."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from bike.errors import BikeError, first_few, one_line
from bike.extract.ffmpeg import ffmpeg_binary, ffmpeg_python
from bike.extract.output import output_exists
from bike.extract.run import MANIFEST_NAME
from bike.files import read_regular
from bike.formats.packs import PACK_SUFFIX, read_frames, scan_offsets
from bike.names import shown
from bike.records import VideoRecord, read_manifest
from bike.video.decode import survey_video
from bike.video.file import FoundVideo, UnreadableError
from bike.video.find import find_videos
from bike.workers.pool import num_cores
from bike.workers.worker import has_module

Item = TypeVar("Item")
Status = Literal["ok", "note", "bad"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: ``ok``, worth a ``note``, or ``bad``."""

    subject: str
    status: Status
    detail: str


def check_machine() -> list[Check]:
    """Python, processor and disk, ffmpeg, decoders, torch and its devices, optional packages."""
    return [
        Check("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Check("cores", "ok", f"{num_cores()} usable of {os.cpu_count()}; {_memory()}; {_disk(Path.cwd())}"),
        _try("ffmpeg", lambda: f"{_ffmpeg_version()} ({ffmpeg_binary()})"),
        _try("ffmpeg-python", lambda: (ffmpeg_python(), _version("ffmpeg-python"))[1]),
        _try("decoder pyav", _pyav),
        Check("decoder decord", *_optional("decord", "decord")),
        _try("jpeg", lambda: f"simplejpeg {_version('simplejpeg')}"),
        _try("torch", _torch),
        *_devices(),
        Check("dask", *_optional("distributed", "dask")),
        Check("s3", *_optional("boto3", "s3")),
    ]


def check_data(path: Path | str, *, samples: int = 20) -> list[Check]:
    """A quick look at a data set: a folder of shards, of frame packs, or of videos (or a list, CSV or tar of them).

    Args:
        path: where it is.
        samples: how many videos, evenly spread, are opened.

    Returns:
        The findings; the first says what the data set was taken for.
    """
    path = Path(path)
    if not path.exists():
        return [Check("data", "bad", f"{path}: no such file or folder. Check the name.")]
    try:
        if path.is_dir() and (path / "manifest.json").is_file():
            return list(_shards(path))
        if path.is_dir() and (path / MANIFEST_NAME).is_file():
            return list(_packs(path, samples))
        return list(_videos(path, samples))
    except BikeError as error:
        return [Check("data", "bad", one_line(error))]


def _videos(path: Path, samples: int) -> Iterator[Check]:
    found = find_videos(path)
    num_bytes = sum(video.stamp[0] for video in found if video.stamp)
    yield Check("data", "ok", f"{len(found)} videos, {num_bytes / 1e6:.1f} MB")
    problems = [f"{shown(video.path)} ({video.problem})" for video in found if video.problem]
    if problems:
        yield Check("files", "bad", f"{len(problems)} can't be read: {first_few(problems)}")
    chosen = spread([video for video in found if not video.problem], samples)
    bad, frames, sizes = [], 0, set()
    for video in chosen:
        reason = _probe(video)
        if isinstance(reason, str):
            bad.append(f"{shown(video.path)} ({reason})")
        else:
            frames += reason[0]
            sizes.add(reason[1:])
    if not chosen:
        return
    good = f"{len(chosen) - len(bad)} of {len(chosen)} sampled videos decode"
    if frames:
        smallest, largest = min(sizes, key=min), max(sizes, key=min)
        good += f", {frames} frames, {smallest[0]}x{smallest[1]} to {largest[0]}x{largest[1]} px"
    yield Check("decoding", "bad" if bad else "ok", f"{good}{': ' + first_few(bad) if bad else ''}")


def _probe(video: FoundVideo) -> str | tuple[int, int, int]:
    """Frames, width and height, or why there are none."""
    try:
        facts = survey_video(video.file, timeout_seconds=30)
    except UnreadableError as error:
        return str(error)
    return facts.damage or (facts.frames, facts.width, facts.height)


def _packs(folder: Path, samples: int) -> Iterator[Check]:
    records = read_manifest(folder / MANIFEST_NAME)
    good = [record for record in records if record.status == "ok"]
    frames, num_bytes = sum(record.frames for record in good), sum(record.bytes for record in good)
    kind = "frame folders" if any((folder / record.key).is_dir() for record in good[:1]) else "frame packs"
    yield Check("data", "ok", f"{kind} of {len(good)} videos, {frames} frames, {num_bytes / 1e6:.1f} MB")
    rejected = [f"{shown(record.path)} ({record.error})" for record in records if record.status != "ok"]
    if rejected:
        yield Check("rejected", "note", f"{len(rejected)}: {first_few(rejected)}")
    lost = [record.key for record in good if not _in_place(folder, record)]
    if lost:
        text = f"{len(lost)} are missing or of another size: {first_few(lost)}. Run `bike extract` again."
        yield Check("packs", "bad", text)
    chosen = spread([record for record in good if _in_place(folder, record)], samples)
    bad = [problem for record in chosen if (problem := _pack_problem(folder, record))]
    text = f"{len(chosen) - len(bad)} of {len(chosen)} sampled packs read well"
    yield Check("reading", "bad" if bad else "ok", f"{text}{': ' + first_few(bad) if bad else ''}")


def _in_place(folder: Path, record: VideoRecord) -> bool:
    there = (folder, record.key)
    counts = (record.frames, record.bytes)
    if output_exists(*there, "packs", *counts):
        return True
    files = (folder / record.key).glob("img_*.jpg")
    return output_exists(*there, "folders", *counts) and sum(file.stat().st_size for file in files) == record.bytes


def _pack_problem(folder: Path, record: VideoRecord) -> str:
    pack = folder / f"{record.key}{PACK_SUFFIX}"
    try:
        if not pack.is_file():
            for number in {1, record.frames}:
                jpeg = read_regular(folder / record.key / f"img_{number:05d}.jpg")
                read_frames(jpeg, [0, len(jpeg)], [0])
            return ""
        data = read_regular(pack)
        offsets = scan_offsets(data)
        if len(offsets) - 1 != record.frames:
            return f"{record.key} ({len(offsets) - 1} frames, the manifest says {record.frames})"
        read_frames(data, offsets, [0, record.frames - 1])
    except (BikeError, OSError) as error:
        return f"{record.key} ({one_line(error)})"
    return ""


def _shards(folder: Path) -> Iterator[Check]:
    from bike.formats.shards import INDEX_NAME, ShardIndex, read_shard_manifest

    manifest = read_shard_manifest(folder)
    index = ShardIndex(manifest, folder / INDEX_NAME)
    yield Check(
        "data", "ok", f"{len(index.shards)} shards of {len(index.keys)} videos, {manifest['bytes'] / 1e6:.1f} MB"
    )
    wrong = [
        name
        for name, size in zip(index.shards, index.sizes, strict=True)
        if not (folder / name).is_file() or (folder / name).stat().st_size != size
    ]
    if wrong:
        text = f"{len(wrong)} are missing or of another size: {first_few(wrong)}. Run `bike shard` again."
        yield Check("shards", "bad", text)
    else:
        yield Check("shards", "ok", "all there, sizes as in the manifest; `bike shard --verify` reads every byte")


def spread(items: list[Item], count: int) -> list[Item]:
    """At most ``count`` items, evenly spread, the first and last included."""
    if len(items) <= count:
        return items
    last = len(items) - 1
    return [items[round(place * last / max(1, count - 1))] for place in range(count)]


def _try(subject: str, look: Callable[[], str]) -> Check:
    try:
        return Check(subject, "ok", look())
    except (BikeError, ImportError, OSError, subprocess.SubprocessError) as error:
        return Check(subject, "bad", one_line(error))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def _optional(module: str, extra: str) -> tuple[Status, str]:
    if has_module(module):
        return "ok", f"{module} {_version(module)}"
    return "note", f'not installed (`pip install "bike-video[{extra}]"`)'


def _ffmpeg_version() -> str:
    result = subprocess.run([ffmpeg_binary(), "-hide_banner", "-version"], capture_output=True, timeout=30, check=False)
    version = result.stdout.decode(errors="replace").partition("Copyright")[0].strip()
    if result.returncode or not version:
        raise BikeError(f"{ffmpeg_binary()}: does not run. Mend it, or unset IMAGEIO_FFMPEG_EXE.")
    return one_line(version)


def _pyav() -> str:
    import av

    libraries = ".".join(map(str, av.library_versions["libavcodec"]))
    codecs = [name for name in ("h264", "hevc", "vp9", "libdav1d", "av1") if name in av.codecs_available]
    return f"PyAV {av.__version__}, libavcodec {libraries}; {', '.join(codecs)}"


def _torch() -> str:
    import torch

    return f"{torch.__version__}, {torch.get_num_threads()} threads"


def _devices() -> Iterator[Check]:
    try:
        import torch
    except ImportError:
        return
    if not torch.cuda.is_available():
        yield Check("device", "note", "cpu only (no CUDA device that torch can use)")
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        about = torch.cuda.get_device_properties(number)
        yield Check("device", "ok", f"cuda:{number} {about.name}, {about.total_memory / 2**30:.0f} GiB")


def _memory() -> str:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return "memory unknown"
    return f"{total / 2**30:.0f} GiB memory"


def _disk(path: Path) -> str:
    return f"{shutil.disk_usage(path).free / 2**30:.0f} GiB free here"
