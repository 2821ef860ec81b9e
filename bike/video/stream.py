"""One pass over a video file: every picture that decodes, and an honest account of what did not."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import takewhile
from typing import IO, Any

import av
import av.logging
from av.stream import Disposition
from av.video.frame import VideoFrame

from bike.errors import reason_of
from bike.video.file import UnreadableError, is_encrypted, why_not_open

# Containers that are read. Left out on purpose: playlists and scripts that name other files or addresses (hls, concat,
# dash, sdp …), devices, text art and single pictures.
FORMATS = (
    "3gp,3g2,4xm,aac,aiff,amr,amv,apng,asf,asf_o,avi,caf,dv,flac,flic,flv,gif,gxf,h263,h264,hevc,ivf,live_flv,m4a,m4v,"
    "matroska,mj2,mjpeg,mov,mp3,mp4,mpeg,mpegts,mpegvideo,mxf,nsv,nut,nuv,obu,ogg,rm,swf,vc1,vivo,vvc,wav,webm,wtv,"
    "yuv4mpegpipe"
)
MAX_FPS = 1000.0
_TOO_LARGE = re.compile(r"Picture size (\d+)x(\d+) (?:is invalid|exceeds)")
MAX_PIXELS = 1 << 26  # a header that claims more is not believed: a tiny file could ask for all memory


class VideoStream:
    """The video stream of an open container; :func:`open_video` makes one.

    Attributes:
        num_frames: pictures yielded so far.
        moment_seconds: when the picture yielded last is shown, or None.
        pixel_aspect: width / height of a stored pixel as the container or codec states it, or None.
        expected: pictures that the container's own index promises (dropped and hidden ones not counted), or None.
        damage: after :meth:`frames` is exhausted: what went wrong, or an empty string.
    """

    def __init__(self, container: Any, stream: Any, file: IO[bytes], logs: list[Any]) -> None:
        self._container, self._stream, self._file, self._logs = container, stream, file, logs
        self._num_packets = self._num_packets_left = 0
        self._short_packet = False
        self._first_time, self._last_time = math.inf, -math.inf
        self._packet_times: deque[float] = deque()
        self.num_frames = 0
        self.moment_seconds: float | None = None
        self.damage = ""
        self._ticks: Fraction | None = stream.time_base
        self.pixel_aspect: Fraction | None = stream.sample_aspect_ratio
        self.expected = _promised_frames(container, stream)

    @property
    def index(self) -> int:
        """Number of the stream in its container."""
        return int(self._stream.index)

    def frames(self) -> Iterator[VideoFrame]:
        """Decode to the end, or to the first damage: pictures in display order, all of them sound.

        Raises:
            UnreadableError: not one picture decodes.
        """
        broken = False
        for frame in self._decode():
            if frame is None:
                broken = True
                break
            # Formats that give packets no time of presentation (AVI): the n-th picture takes the n-th packet's time.
            self.moment_seconds = self._packet_times.popleft() if self._packet_times else self._seconds(frame.pts)
            self._note_time(self.moment_seconds)
            self.num_frames += 1
            yield frame
        self.damage = self._verdict(broken)
        if self.num_frames == 0:
            empty = self.damage or "no frames: the video stream is empty"
            raise UnreadableError("encrypted" if is_encrypted(self._file) else empty)

    def _decode(self) -> Iterator[VideoFrame | None]:
        """Each sound picture, and None at the first damage."""
        packets = self._container.demux(self._stream)
        try:
            for packet in packets:
                self._num_packets += packet.size > 0 and not packet.is_discard  # edit lists hide pictures: "discard"
                if packet.is_corrupt:  # the reader got fewer bytes than the packet should have
                    self._short_packet = True
                    break
                if packet.pts is None and (moment := self._seconds(packet.dts)) is not None:
                    self._packet_times.append(moment)
                pictures = packet.decode()
                sound = [*takewhile(lambda picture: not picture.is_corrupt, pictures)]
                yield from sound
                if len(sound) < len(pictures):
                    break
            else:
                return
        except av.error.FFmpegError:  # first: some of these are OSErrors as well
            pass
        except OSError as error:  # from our own file: a disk or network fault, not damage of the video
            raise UnreadableError(f"can't be read ({reason_of(error)})", transient=True) from None
        # Pictures that the decoder still holds back are let go: one before them may be missing.
        with suppress(av.error.FFmpegError, OSError):
            self._num_packets_left = sum(1 for packet in packets if packet.size > 0)
        yield None

    def _note_time(self, moment: float | None) -> None:
        if moment is not None:
            self._first_time, self._last_time = min(self._first_time, moment), max(self._last_time, moment)

    def _verdict(self, broken: bool) -> str:
        """What is wrong with the video, once it was read; an empty string for a sound one.

        ===================================================  ==================  =======================================
        Seen                                                 Verdict             Why
        ===================================================  ==================  =======================================
        no break, and all promised pictures but 1, or 2 %    sound               so end many sound files, see below
        otherwise, and the index names an encrypted track    encrypted           its pictures were noise
        a complaint about the size, and no picture           picture too large   the decoder obeyed ``MAX_PIXELS``
        the reader complains of a partial file               truncated           it knows how long the file should be
        a break at the last packet, which is short           truncated           its other half was cut off
        packets that the index promises were never read      truncated           they lay behind the end of the file
        a break at the last packet, of a file without index  truncated           nothing says that more should follow
        a break with packets behind it, and all others       damaged             the data goes on, it is only not sound
        ===================================================  ==================  =======================================

        Args:
            broken: decoding stopped before the end.
        """
        count, expected = self.num_frames, self.expected
        num_packets = self._num_packets + self._num_packets_left
        logged = " ".join(str(entry[2]) for entry in self._logs)
        cut = "partial file" in logged or "ended prematurely" in logged
        # One picture fewer than promised is common (packed B-frames end with an empty one), and so are packets that
        # rightly show nothing (leading pictures of an open group); the decoder complains about neither. So packets
        # count as pictures as long as nothing was logged.
        lost = 0 if expected is None else expected - (count if logged else num_packets)
        if not (broken or cut or lost > max(1, (expected or 0) // 50)):
            return ""
        if is_encrypted(self._file):
            return "encrypted"
        if (size := _TOO_LARGE.search(logged)) and count == 0:
            return f"picture too large ({size[1]} x {size[2]} px)"
        unread = expected is not None and num_packets < expected - 1
        at_end = self._num_packets_left <= 1
        cut = cut or (at_end and (unread or self._short_packet or (broken and expected is None)))
        word, end = ("truncated", "the file ends") if cut else ("damaged", "the data is broken")
        # Where the index promises no more than there is (or there is none), the header's own count may.
        if expected is None or expected <= count:
            expected = int(self._stream.frames)
        return f"{word}: {count} of {expected} frames" if expected > count else f"{word}: {count} frames, then {end}"

    def frame_seconds(self) -> float:
        """Duration of a frame by the stream's stated average rate; 1/25 where it states none."""
        stated = float(self._stream.average_rate or 0)
        return 1 / stated if 0 < stated <= MAX_FPS else 0.04

    def fps(self, num_frames: int | None = None) -> float:
        """Frames per second of what was read so far, 0.0 when unknown.

        The stream's stated average where the pictures' times agree with it, otherwise the rate of those times.

        Args:
            num_frames: how many pictures were decoded elsewhere, after :meth:`skim`.
        """
        count = self.num_frames if num_frames is None else num_frames
        stated = float(self._stream.average_rate or 0)
        # The times agree when `count` pictures at the stated rate would last as long, give or take: the first and last
        # times may be rounded or jitter by a frame or so, and a few pictures may be missing from a long video.
        span = self._last_time - self._first_time
        if count > 1 and span > 0 and abs(span * stated - (count - 1)) > max(1.5, min(3.0, 0.1 * count), 0.01 * count):
            stated = (count - 1) / span
        return round(stated, 6) if 0 < stated <= MAX_FPS else 0.0

    def skim(self) -> int:
        """Read the times of all packets without decoding them; returns how many should give pictures."""
        count = 0
        with suppress(av.error.FFmpegError, OSError):
            for packet in self._container.demux(self._stream):
                if packet.size and not packet.is_discard:
                    count += 1
                    self._note_time(self._seconds(packet.dts if packet.pts is None else packet.pts))
        return count

    def _seconds(self, stamp: int | None) -> float | None:
        """A time stamp in seconds."""
        # frame.time_base and packet.time_base are the stream's, but slow to ask for.
        return None if stamp is None or not self._ticks else stamp * self._ticks.numerator / self._ticks.denominator


@contextmanager
def open_video(file: IO[bytes]) -> Iterator[VideoStream]:
    """Open a video for one pass; decoding runs in one thread.

    Args:
        file: the whole file's bytes, readable and seekable; closed by the caller.

    Yields:
        Its best video stream; cover pictures do not count.

    Raises:
        UnreadableError: empty, not a video, no video stream, no decoder, or too large a picture.
    """
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # VideoStream's verdict needs every message
    with av.logging.Capture() as logs:
        try:
            container = av.open(
                file,
                metadata_errors="replace",  # a title that is not UTF-8 does no harm
                container_options={"format_whitelist": FORMATS, "protocol_whitelist": "file"},
            )
        except (av.error.FFmpegError, ValueError, OSError):
            raise UnreadableError(why_not_open(file)) from None
        with container:
            yield VideoStream(container, _choose_stream(container, file), file, logs)


def _choose_stream(container: Any, file: IO[bytes]) -> Any:
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        kinds = sorted({str(s.type) for s in container.streams} - {"video"})
        raise UnreadableError(f"no video stream ({' and '.join(kinds)} only)" if kinds else "no video stream")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    context = stream.codec_context
    if context is None:
        raise UnreadableError("encrypted" if is_encrypted(file) else "no decoder for this codec")
    if context.width * context.height > MAX_PIXELS:
        raise UnreadableError(f"picture too large ({context.width} x {context.height} px)")
    context.thread_count = 1  # videos are decoded side by side, one process per core
    context.thread_type = "NONE"
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream


def _promised_frames(container: Any, stream: Any) -> int | None:
    """Pictures in the index of formats that keep one for every frame."""
    if container.format.name == "avi" or "mov" in container.format.name:
        listed = sum(1 for entry in stream.index_entries if entry.size > 0 and not entry.is_discard)
        if listed > 1 or stream.frames <= 1:
            return listed or None
        return int(stream.frames)
    return None
