"""Frames straight out of video files: no extraction, at the price of decoding every video again in every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bike.errors import DataError, first_few
from bike.frames.source import Frames, FrameSource, Recent, stamps_checksum
from bike.records import Sample, read_manifest
from bike.video.decode import Decoder, VideoFacts, decode_frames, probe_video
from bike.video.file import VideoFile
from bike.video.find import find_videos, problem_of
from bike.video.walk import LEADS_OUT


class VideoSource(FrameSource):
    """Frames out of videos, decoded in a helper process that is killed when it takes too long.

    Frame numbers are those of ``bike extract``, so samples draw the same frames as from packs or shards.

    Args:
        media: folder, list, CSV or tar of videos, as for ``bike extract``.
        samples: rows of the list, which give the path of each video.
        manifest: extraction manifest with frame counts, if there is one (of an extraction without ``--fps``); a video
            that is not in it is decoded once more to count its frames.
        short_side: px the shorter side is shrunk to; None: as it is.
        decoder: ``pyav`` or ``decord``. Frames are counted by pyav, which counts what decodes.
        follow_links: as for :func:`bike.video.find.find_videos`.
        timeout_seconds: for the frames of one sample.

    Raises:
        DataError: no videos at all, or some that are links out of the folder.
    """

    def __init__(
        self,
        media: Path | str,
        samples: Sequence[Sample],
        *,
        manifest: Path | str | None = None,
        short_side: int | None = 256,
        decoder: Decoder = "pyav",
        follow_links: bool = False,
        timeout_seconds: float = 60.0,
    ) -> None:
        found = {video.path: video for video in find_videos(media, follow_links=follow_links)}
        problems = {sample.video: problem_of(sample.path, found) for sample in samples}
        if outside := [sample.path for sample in samples if problems[sample.video] == LEADS_OUT]:
            raise DataError(f"{media}: {len(outside)} of the list's videos, each {LEADS_OUT}: {first_few(outside)}.")
        self._problems = {video: problem for video, problem in problems.items() if problem}
        records = [] if manifest is None else read_manifest(manifest)
        usable = [found[sample.path] for sample in samples if sample.video not in self._problems]
        self._files = {s.video: found[s.path].file for s in samples if s.video not in self._problems}
        self.checksum = stamps_checksum((video.path, *video.stamp) for video in usable)
        self._facts = {record.key: (record.frames, record.fps) for record in records if record.status == "ok"}
        self._short_side, self._decoder, self._timeout_seconds = short_side, decoder, timeout_seconds
        self._probed: Recent[VideoFacts] = Recent(1 << 20)  # small, and each cost the decoding of a whole video

    def num_frames(self, video: str) -> int:
        """Frames that decode."""
        return self._facts[video][0] if video in self._facts else self._probe(video).frames

    def fps(self, video: str) -> float:
        """Frames per second."""
        return self._facts[video][1] if video in self._facts else self._probe(video).fps

    def read(self, video: str, frame_indices: Sequence[int], *, gray: bool = False) -> Frames:
        """Decode chosen frames, in colour always; see :class:`bike.frames.source.FrameSource`."""
        return decode_frames(
            self._file(video),
            frame_indices,
            backend=self._decoder,
            short_side=self._short_side,
            timeout_seconds=self._timeout_seconds,
        )

    def _probe(self, video: str) -> VideoFacts:
        return self._probed.get(video, lambda key: probe_video(self._file(key), timeout_seconds=self._timeout_seconds))

    def _file(self, video: str) -> VideoFile:
        if video not in self._files:
            problem = self._problems.get(video, "not in the list")
            raise DataError(f"{video}: {problem}. Check the folder of videos against the list.")
        return self._files[video]
