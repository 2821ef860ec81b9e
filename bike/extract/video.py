"""One video to frames. Runs in a helper process; whatever is wrong with the video becomes a reason in its record."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import simplejpeg
from av.video.frame import VideoFrame

from bike.extract.looks import Looks, written_looks
from bike.extract.output import FrameOutput, frames_sha256, open_output
from bike.extract.rate import num_slots, resample
from bike.extract.task import Result, Task, jpeg_quality, rejected
from bike.formats.kept import KeptFrames, placed_frames
from bike.formats.packs import add_checksum
from bike.records import VideoRecord
from bike.video.file import UnreadableError
from bike.video.picture import PictureConverter, plan_picture
from bike.video.stream import VideoStream, open_video


def extract_video(task: Task) -> Result:
    """Decode a video, write its frames, and say what became of it.

    Returns:
        Its record, ``ok`` or ``rejected``; a rejected video leaves no frames behind.

    Raises:
        BikeError: the frames can't be written (disk full, no permission): no fault of the video.
    """
    destination, layout = Path(task.destination), task.recipe.layout
    write: Callable[[Task, FrameOutput], tuple[VideoRecord, str]] = write_with_pyav
    if task.recipe.backend == "ffmpeg":
        from bike.extract.ffmpeg import write_with_ffmpeg

        write = write_with_ffmpeg
    source = ""
    try:
        source = task.file.sha256()  # first: a whole read in order, after which the decoder's jumps cost no disk
        with open_output(destination, task.key, layout) as output:
            record, damage = write(task, output)
            if damage and not task.recipe.keep_partial:
                raise UnreadableError(damage, partial=True)  # within the block: the frames are thrown away
    except UnreadableError as error:
        result = rejected(task.key, task.path, str(error), partial=error.partial, transient=error.transient)
        return replace(result, record=replace(result.record, source_sha256=source))
    record = replace(
        record,
        seconds=round(record.frames / record.fps, 6) if record.fps else 0.0,
        bytes=output.num_bytes,
        error="; ".join(filter(None, (damage, record.error))),
        source_sha256=source,
        frames_sha256=output.digest.hexdigest() if output.digest else frames_sha256(destination, task.key, layout),
        picture_hash=record.picture_hash or written_looks(destination, task.key, layout),
    )
    return Result(record, partial=bool(damage))


def write_with_pyav(task: Task, output: FrameOutput) -> tuple[VideoRecord, str]:
    """Decode in this process and add the pictures to ``output``, as baseline 4:2:0 JPEGs (full range, BT.601).

    Returns:
        The video's row, but for its seconds, bytes and hashes, with a remark as its error; and what is wrong with the
        video, or an empty string.

    Raises:
        UnreadableError: no picture decodes.
    """
    limit = task.recipe.frames_per_video
    if limit is None:
        return _write(task, output, range(sys.maxsize))
    # Where the frames to keep lie depends on how many there are, which only decoding shows. In all but odd files the
    # index or the packets tell beforehand; those files are decoded once more.
    with task.file.open() as file, open_video(file) as video:
        expected = _expected_frames(video, task.recipe.fps, skim=True)
    placed = placed_frames(expected, limit)
    row, damage = _write(task, output, frozenset(placed))
    if placed != (right := placed_frames(row.frames, limit)) and (not damage or task.recipe.keep_partial):
        output.keep_first(0)
        row, damage = _write(task, output, frozenset(right))
    return replace(row, kept=KeptFrames(row.frames, right).text), damage


def _expected_frames(video: VideoStream, fps: float | None, *, skim: bool = False) -> int:
    """How many frames extraction would keep without a limit, before any is decoded; now and then it is mistaken.

    With ``skim`` the packets are read where the index does not tell, or not when; the video has no pictures after that.
    """
    count = video.skim() if skim and not (fps is None and video.expected) else video.expected or 0
    return count if fps is None else num_slots(count / (video.fps(count) or 1.0), fps)


def _write(task: Task, output: FrameOutput, wanted: Collection[int]) -> tuple[VideoRecord, str]:
    """Decode all frames, and scale, encode and add those whose number is wanted; ``frames`` of the row counts all."""
    recipe = task.recipe
    quality, count = jpeg_quality(recipe.quality), 0
    with task.file.open() as file, open_video(file) as video:
        frames: Iterator[tuple[VideoFrame, int]]
        if recipe.fps is None:
            frames = ((frame, 1) for frame in video.frames())
        else:
            timed = ((frame, video.moment_seconds) for frame in video.frames())
            frames = resample(timed, recipe.fps, video.frame_seconds)
        first = next(frames)  # its picture decides the size of all
        converter = PictureConverter(plan_picture(first[0], video.pixel_aspect, recipe.short_side_px))
        looks = Looks(_expected_frames(video, recipe.fps) if recipe.frames_per_video is None else len(wanted))
        for frame, copies in chain([first], frames):
            times = sum(number in wanted for number in range(count, count + copies))
            count += copies
            if times:
                y, u, v = converter.yuv_planes(frame)
                looks.see(y, times)
                jpeg = add_checksum(simplejpeg.encode_jpeg_yuv_planes(y, u, v, quality=quality))
                for _ in range(times):
                    output.add(jpeg)
        row = VideoRecord(task.key, task.path, "ok", count, recipe.fps or video.fps(), error=video.remark)
        plan = converter.plan
        return replace(row, width=plan.width, height=plan.height, picture_hash=looks.hash()), video.damage
