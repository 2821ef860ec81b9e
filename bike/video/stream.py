"""One pass over a video file: every picture that decodes, and an honest account of what did not."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import IO, Any

import av
import av.logging
from av.format import Flags
from av.video.frame import VideoFrame

from bike.errors import reason_of
from bike.video.clock import LONGEST_JOINT_SECONDS, LONGEST_STEP_SECONDS, Clock, StampChoice
from bike.video.container import READ_ERRORS, choose_track, last_seconds, open_container
from bike.video.file import UnreadableError
from bike.video.promises import is_cut_off, is_encrypted, promised_frames, promised_seconds

MAX_FPS = 1000.0
_DOUBTFUL_PICTURES = 32  # until one has a stated time again: in Ogg, one a page has
_TOO_LARGE = re.compile(r"Picture size (\d+)x(\d+) (?:is invalid|exceeds)")


class VideoStream:
    """The video stream of an open container; :func:`open_video` makes one.

    Attributes:
        num_frames: pictures yielded so far.
        moment_seconds: when the picture yielded last is shown, from the first one on (see :class:`Clock`).
        pixel_aspect: width / height of a stored pixel as the container or codec states it, or None.
        expected: pictures that the container's own index promises (dropped and hidden ones not counted), or None.
        damage: after :meth:`frames` is exhausted: what went wrong, or an empty string.
        remark: what to know about a sound video (one of several tracks, pictures of several sizes), or an empty string.
    """

    def __init__(self, container: Any, stream: Any, file: IO[bytes], logs: list[Any], remark: str = "") -> None:
        self._container, self._stream, self._file, self._logs = container, stream, file, logs
        self._num_packets = self._num_packets_left = 0
        self._short_packet = self._reader_complained = False
        self._num_doubtful = 0  # pictures for which a complaint of the reader still counts
        self._counts_packets = container.format.name == "mpegts"  # and calls one corrupt where the count restarts
        self._only_dts = container.format.name == "avi"
        self._stamps = StampChoice(only_dts=self._only_dts)
        self._clock = self._new_clock()
        self._span_seconds = 0.0
        self._packet_times: deque[float] = deque()
        self._size: tuple[int, int] | None = None
        self.num_frames = 0
        self.moment_seconds = 0.0
        self.damage, self.remark = "", remark
        self._ticks: Fraction | None = stream.time_base
        self.pixel_aspect: Fraction | None = stream.sample_aspect_ratio
        self.expected = promised_frames(container, stream, file)

    def _new_clock(self) -> Clock:
        stated = float(self._stream.average_rate or 0)
        jumps = self._container.format.flags & Flags.ts_discont.value  # broadcast formats, whose clocks may jump
        longest = LONGEST_JOINT_SECONDS if jumps else LONGEST_STEP_SECONDS
        return Clock(1 / stated if 0 < stated <= MAX_FPS else 0.04, longest)

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
            self._note_size(frame.width, frame.height)
            self.num_frames += 1
            yield frame
        self.damage = self._verdict(broken) or self.missing_end()
        if self.num_frames == 0:
            empty = self.damage or "no frames: the video stream is empty"
            raise UnreadableError("encrypted" if is_encrypted(self._file) else empty)

    def _decode(self) -> Iterator[VideoFrame | None]:
        """Each sound picture, and None at the first damage."""
        packets = self._container.demux(self._stream)
        doubt, before = 0, None  # packets for which a warning still counts; when the packet before is decoded
        num_logs = len(self._logs)
        try:
            for packet in packets:
                self._num_packets += packet.size > 0 and not packet.is_discard  # edit lists hide pictures: "discard"
                if packet.is_corrupt and not self._counts_packets:  # the reader got fewer bytes than it should have
                    self._short_packet = True
                    break
                if doubt > 1 and not self._goes_on(packet, before):
                    self._short_packet = packet.size == 0  # the end
                    break
                if len(self._logs) > num_logs:
                    self._reader_complained, self._num_doubtful = True, _DOUBTFUL_PICTURES
                if packet.pts is None and (moment := self._seconds(packet.dts)) is not None:
                    self._packet_times.append(moment)
                # The parser holds a picture back, so what the warning is about comes with one of the next two.
                doubt, before, num_logs = 3 if packet.is_corrupt else max(0, doubt - 1), packet.dts, len(self._logs)
                pictures = packet.decode()
                if doubt and len(self._logs) > num_logs:  # the decoder complains as well
                    break
                num_logs = len(self._logs)
                for picture in pictures:
                    if picture.is_corrupt or self._is_behind_hole(picture):
                        break
                    yield picture
                else:
                    continue
                break
            else:
                return
        except (av.error.FFmpegError, IndexError):  # first: some of these are OSErrors as well
            pass
        except OSError as error:  # from our own file: a disk or network fault, not damage of the video
            raise UnreadableError(f"can't be read ({reason_of(error)})", transient=True) from None
        # Pictures that the decoder still holds back are dropped: one before them may be missing.
        with suppress(*READ_ERRORS):
            self._num_packets_left = sum(1 for packet in packets if packet.size > 0)
        yield None

    def _is_behind_hole(self, picture: VideoFrame) -> bool:
        """Move the clock on to a picture; whether some are missing before it, since the reader skipped broken data."""
        # Formats that give packets no time of presentation (AVI): the n-th picture takes the n-th packet's time.
        times = self._packet_times
        stated = times.popleft() if times else self._seconds(self._stamps.choose(picture.pts, picture.dts))
        before, self._num_doubtful = self._clock.seconds, self._num_doubtful - 1
        now = self._clock.tick(stated)
        if self._num_doubtful >= 0 and self.num_frames and now - before > 1.5 * self.frame_seconds():
            return True
        self.moment_seconds = self._span_seconds = now
        return False

    def _goes_on(self, packet: Any, before: int | None) -> bool:
        """Whether a packet follows on one that ended at a broken count: with a key frame, or without a gap in time.

        Where segments of a stream were joined only the counters restart; where packets are lost, pictures are missing.
        """
        step = None if packet.dts is None or before is None else self._seconds(packet.dts - before)
        return packet.size > 0 and (packet.is_keyframe or step is None or 0 < step < 1.5 * self.frame_seconds())

    def _note_size(self, width: int, height: int) -> None:
        if self._size != (width, height):
            if self._size is not None:
                old = "{} x {}".format(*self._size)
                change = f"the picture changes from {old} to {width} x {height} px at frame {self.num_frames}"
                self.remark = "; ".join(filter(None, (self.remark, change)))
            self._size = width, height

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

    def missing_end(self, num_frames: int | None = None) -> str:
        """What is wrong with a video that broke nowhere but ends before its container says so; mostly empty.

        Args:
            num_frames: how many pictures were decoded elsewhere, after :meth:`skim`.
        """
        count = self.num_frames if num_frames is None else num_frames
        seconds = self._span_seconds + self.frame_seconds()
        promised = promised_seconds(self._container, self._file, believe=self._reader_complained)
        slack = max(0.5, 0.02 * promised, 2 * self.frame_seconds())
        # Another track may be longer than the film; only here that is worth reading the file once more.
        late = promised - seconds > slack and promised - last_seconds(self._file) > slack
        if not (late or is_cut_off(self._container, self._file)):
            return ""
        expected = round(promised / self.frame_seconds())
        return f"truncated: {count} of about {expected} frames" if expected > count else f"truncated: {count} frames"

    def frame_seconds(self) -> float:
        """Duration of a frame by the stream's stated average rate, where its pictures agree; 1/25 without one."""
        return self._clock.frame_seconds

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
        span = self._span_seconds
        if count > 1 and span > 0 and abs(span * stated - (count - 1)) > max(1.5, min(3.0, 0.1 * count), 0.01 * count):
            stated = (count - 1) / span
        return round(stated, 6) if 0 < stated <= MAX_FPS else 0.0

    def skim(self) -> int:
        """Read the times of all packets without decoding them; returns how many should give pictures."""
        times: list[float] = []
        clock, count = self._new_clock(), 0
        with suppress(*READ_ERRORS):
            for packet in self._container.demux(self._stream):
                if packet.size and not packet.is_discard:
                    count += 1
                    clock.tick(self._seconds(packet.dts))
                    stamp = packet.dts if self._only_dts or packet.pts is None else packet.pts
                    times += [] if stamp is None else [stamp * float(self._ticks or 0)]
        # Packets come in the order of decoding, so only times of decoding show where the clock jumps.
        self._span_seconds = clock.seconds if clock.jumps or not times else max(times) - min(times)
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
    with av.logging.Capture() as logs, open_container(file) as container:
        stream, remark = choose_track(container, file)
        yield VideoStream(container, stream, file, logs, remark)
