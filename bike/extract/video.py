"""One video to frames. Runs in a helper process; whatever is wrong with the video becomes a reason in its record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import simplejpeg
from av.video.frame import VideoFrame

from bike.extract.output import FrameOutput, add_copies, open_output
from bike.extract.rate import RateChanger
from bike.extract.task import Recipe, Result, Task, jpeg_quality, rejected
from bike.records import VideoRecord
from bike.video.file import UnreadableError
from bike.video.picture import PictureConverter, PicturePlan, plan_picture
from bike.video.stream import VideoStream, open_video


def extract_video(task: Task) -> Result:
    """Decode a video, write its frames, and say what became of it.

    Returns:
        Its record, ``ok`` or ``rejected``; a rejected video leaves no frames behind.

    Raises:
        BikeError: the frames can't be written (disk full, no permission): no fault of the video.
    """
    destination = Path(task.destination)
    write: Callable[[Task, FrameOutput], VideoRecord] = write_with_pyav
    if task.recipe.backend == "ffmpeg":
        from bike.extract.ffmpeg import write_with_ffmpeg

        write = write_with_ffmpeg
    try:
        with open_output(destination, task.key, task.recipe.layout) as output:
            record = write(task, output)
            if record.error and not task.recipe.keep_partial:
                raise UnreadableError(record.error, partial=True)  # within the block: the frames are thrown away
    except UnreadableError as error:
        return rejected(task.key, task.path, str(error), partial=error.partial, transient=error.transient)
    seconds = round(output.num_frames / record.fps, 6) if record.fps else 0.0
    record = replace(record, frames=output.num_frames, seconds=seconds, bytes=output.num_bytes)
    return Result(record, partial=bool(record.error))


def write_with_pyav(task: Task, output: FrameOutput) -> VideoRecord:
    """Decode in this process and add each picture to ``output``.

    Returns:
        The video's row, but for what the output counts: frames, seconds and bytes.

    Raises:
        UnreadableError: no picture decodes.
    """
    with task.file.open() as file, open_video(file) as video:
        encoder = FrameEncoder(video, task.recipe)
        if task.recipe.fps is None:
            for frame in video.frames():
                output.add(encoder.encode(frame))
        else:
            rate: RateChanger[VideoFrame] = RateChanger(task.recipe.fps, video.frame_seconds())
            for frame in video.frames():
                for kept, copies in rate.push(frame, video.moment_seconds):
                    add_copies(output, encoder.encode(kept), copies)
            for kept, copies in rate.finish():
                add_copies(output, encoder.encode(kept), copies)
        plan = encoder.plan
        if plan is None:
            raise UnreadableError("no frames: the video stream is empty")
        fps = task.recipe.fps or video.fps()
        return VideoRecord(task.key, task.path, "ok", fps=fps, width=plan.width, height=plan.height, error=video.damage)


class FrameEncoder:
    """Pictures of one video to JPEGs of one size; the first picture decides it."""

    def __init__(self, video: VideoStream, recipe: Recipe) -> None:
        self._video, self._recipe = video, recipe
        self._quality = jpeg_quality(recipe.quality)
        self._converter: PictureConverter | None = None

    @property
    def plan(self) -> PicturePlan | None:
        """Size and orientation, once a picture was encoded."""
        return None if self._converter is None else self._converter.plan

    def encode(self, frame: VideoFrame) -> bytes:
        """A baseline 4:2:0 JPEG, full range, BT.601, of the picture."""
        if self._converter is None:
            self._converter = PictureConverter(
                plan_picture(frame, self._video.pixel_aspect, self._recipe.short_side_px)
            )
        y, u, v = self._converter.yuv_planes(frame)
        jpeg: bytes = simplejpeg.encode_jpeg_yuv_planes(y, u, v, quality=self._quality)
        return jpeg
