"""Opening a video file by its contents, whatever its name, and choosing the track that holds the film."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import IO, Any

import av
from av.stream import Disposition

from bike.video.file import START_BYTES, UnreadableError, other_kind, why_not_open
from bike.video.promises import is_encrypted

# Containers that are read. Left out on purpose: playlists and scripts that name other files or addresses (hls, concat,
# dash, sdp …), devices, text art and single pictures.
FORMATS = (
    "3gp,3g2,4xm,aac,aiff,amr,amv,apng,asf,asf_o,avi,caf,dv,flac,flic,flv,gif,gxf,h263,h264,hevc,ivf,live_flv,m4a,m4v,"
    "matroska,mj2,mjpeg,mov,mp3,mp4,mpeg,mpegts,mpegvideo,mxf,nsv,nut,nuv,obu,ogg,rm,swf,vc1,vivo,vvc,wav,webm,wtv,"
    "yuv4mpegpipe"
)
# Of reading packets. The last is PyAV's, for one of a track that was not there when the file was opened.
READ_ERRORS = (av.error.FFmpegError, OSError, IndexError)
MAX_PIXELS = 1 << 26  # a header that claims more is not believed: a tiny file could ask for all memory
_LOOK_AT_PACKETS = 5000  # a track with a single packet among so many is a picture


def open_container(file: IO[bytes]) -> Any:
    """A PyAV container that reads ``file``.

    Raises:
        UnreadableError: empty, or not a video.
    """
    with suppress(OSError):  # of the disk: said when the container is read
        file.seek(0)
        kind = other_kind(file.read(START_BYTES))
        if kind and "picture" not in kind:  # an animated PNG begins like any other
            raise UnreadableError(f"not a video ({kind})")
        file.seek(0)
    try:
        return av.open(
            file,
            metadata_errors="replace",  # a title that is not UTF-8 does no harm
            container_options={"format_whitelist": FORMATS, "protocol_whitelist": "file"},
        )
    except (av.error.FFmpegError, ValueError, OSError):
        raise UnreadableError(why_not_open(file)) from None


def choose_track(container: Any, file: IO[bytes]) -> tuple[Any, str]:
    """The video stream to decode, made ready, and a remark where it was not the only or obvious one.

    Cover pictures do not count, and a track of one picture only where there is nothing else.

    Raises:
        UnreadableError: no video stream, no decoder, or too large a picture.
    """
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        kinds = sorted({str(s.type) for s in container.streams} - {"video"})
        raise UnreadableError(f"no video stream ({' and '.join(kinds)} only)" if kinds else "no video stream")
    best = container.streams.best("video")
    films = streams if len(streams) == 1 else _films(streams, file)
    stream = best if best in films else films[0]
    remark = ""
    if len(films) > 1 or stream != (best if best in streams else streams[0]):
        remark = f"video track {streams.index(stream) + 1} of {len(streams)} taken"
    context = stream.codec_context
    if context is None:
        raise UnreadableError("encrypted" if is_encrypted(file) else "no decoder for this codec")
    if context.width * context.height > MAX_PIXELS:
        raise UnreadableError(f"picture too large ({context.width} x {context.height} px)")
    context.thread_count = 1  # videos are decoded side by side, one process per core
    context.thread_type = "NONE"
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream, remark


def _films(streams: list[Any], file: IO[bytes]) -> list[Any]:
    """The streams that hold more than one picture; all where none does."""
    position = file.tell()
    count: Counter[int] = Counter()
    with suppress(UnreadableError, *READ_ERRORS), open_container(file) as other:
        chosen = [other.streams[stream.index] for stream in streams]
        for packet in other.demux(chosen):
            count[packet.stream_index] += packet.size > 0
            if all(count[stream.index] > 1 for stream in streams) or count.total() > _LOOK_AT_PACKETS:
                break
    file.seek(position)  # where the container goes on to read
    return [stream for stream in streams if count[stream.index] > 1] or streams


def last_seconds(file: IO[bytes]) -> float:
    """When the last packet of any track ends, by reading them all."""
    first = last = 0.0
    with suppress(UnreadableError, *READ_ERRORS), open_container(file) as container:
        for packet in container.demux():
            if packet.pts is not None and packet.time_base:
                start = float(packet.pts * packet.time_base)
                first, last = min(first, start), max(last, start + float((packet.duration or 0) * packet.time_base))
    return last - first
