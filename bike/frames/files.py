"""Frames out of frame packs, and out of published-style folders of JPEGs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bike.errors import DataError
from bike.files import existing_dir, open_regular, read_regular, reading, sha256
from bike.files.names import leads_out
from bike.formats.folders import frame_files
from bike.formats.kept import KeptFrames
from bike.formats.packs import PACK_SUFFIX, read_frames, scan_offsets
from bike.frames.source import FileWindow, Frames, FrameSource, Recent, stamps_checksum
from bike.records import Sample, VideoRecord, read_manifest
from bike.video.walk import LEADS_OUT, is_link_out


class PackSource(FrameSource):
    """Frames out of a folder of frame packs and its ``manifest.csv``.

    Args:
        folder: as written by ``bike extract``.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = existing_dir(folder)
        records = read_manifest(self.folder / "manifest.csv")
        self.checksum = sha256(self.folder / "manifest.csv")
        self._known = {r.key: (r.frames, r.fps, r.kept) for r in records if r.status == "ok"}
        self.frames_per_video = _most_kept(records)
        self._offsets: Recent[list[int]] = Recent(256)  # packs have no index: a whole one is read to find its frames

    def num_frames(self, video: str) -> int:
        """Frames of a video."""
        return self._record(video)[0]

    def fps(self, video: str) -> float:
        """Frames per second."""
        return self._record(video)[1]

    def kept(self, video: str) -> KeptFrames:
        """Which frames are in the pack."""
        frames, _, kept = self._record(video)
        return KeptFrames.parse(kept, frames)

    def read(self, video: str, frame_indices: Sequence[int], *, gray: bool = False) -> Frames:
        """Decode chosen frames; see :class:`bike.frames.source.FrameSource`."""
        path = self.folder / f"{video}{PACK_SUFFIX}"
        with reading(path, "Run `bike extract` again."):
            offsets = self._offsets.get(video, lambda _: scan_offsets(read_regular(path)))
            places = self.kept(video).places(frame_indices)
            with os.fdopen(open_regular(path), "rb", buffering=0) as file:
                return read_frames(FileWindow(file.fileno(), 0), offsets, places, gray=gray)

    def _record(self, video: str) -> tuple[int, float, str]:
        if video not in self._known:
            raise DataError(f"{self.folder}: no frames of {video} in the manifest. Run `bike extract` again.")
        return self._known[video]


def _most_kept(records: Iterable[VideoRecord]) -> int | None:
    """How many frames an extraction kept of the videos that it thinned; None where it kept all."""
    return max((record.num_kept for record in records if record.kept), default=None)


class _FileEach:
    """Files of one frame each, sliced like a frame pack whose frames are a byte long."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def __getitem__(self, part: slice) -> bytes:
        return read_regular(self._files[part.start])


class FolderSource(FrameSource):
    """Frames out of folders of JPEGs: published-style ones, or those of ``bike extract --layout folders``.

    A video's frames lie in ``<folder>/<video key>`` or ``<folder>/<path>``, as ``img_00001.jpg`` and the like.

    Args:
        folder: where the frame folders lie.
        samples: rows of the list, which give the ``path`` of each video.
        fps: frames per second of all videos; 0 when not known. An extraction's ``manifest.csv`` in ``folder`` knows.
        follow_links: frame folders may be links that lead out of ``folder``.
    """

    def __init__(
        self, folder: Path | str, samples: Sequence[Sample], *, fps: float = 0.0, follow_links: bool = False
    ) -> None:
        self.folder = existing_dir(folder)
        self._paths: Mapping[str, str] = {sample.video: sample.path for sample in samples}
        manifest = self.folder / "manifest.csv"
        records = read_manifest(manifest) if manifest.is_file() else []
        self._rates = {record.key: record.fps for record in records}
        self._thinned = {record.key: (record.kept, record.frames) for record in records if record.kept}
        self.frames_per_video = _most_kept(records)
        self._fps = fps
        self._root = None if follow_links else os.path.realpath(self.folder)
        self.checksum = sha256(manifest) if manifest.is_file() else self._stamps()
        self._files: Recent[list[Path]] = Recent(1024)

    def num_frames(self, video: str) -> int:
        """Frames of a video."""
        return self.kept(video).num_frames

    def fps(self, video: str) -> float:
        """Frames per second."""
        return self._rates.get(video, self._fps)

    def kept(self, video: str) -> KeptFrames:
        """Which frames are in the folder."""
        if video in self._thinned:
            return KeptFrames.parse(*self._thinned[video])
        return KeptFrames.all_of(len(self._files.get(video, self._list)))

    def read(self, video: str, frame_indices: Sequence[int], *, gray: bool = False) -> Frames:
        """Decode chosen frames; see :class:`bike.frames.source.FrameSource`."""
        files = self._files.get(video, self._list)
        with reading(self.folder / self._paths[video]):
            return read_frames(
                _FileEach(files), range(len(files) + 1), self.kept(video).places(frame_indices), gray=gray
            )

    def _list(self, video: str) -> list[Path]:
        if video not in self._paths:
            raise DataError(f"{video}: not in the list.")
        return frame_files(self._place(video))

    def _place(self, video: str) -> Path:
        path = self._paths[video]
        if leads_out(path):
            raise DataError(f"{path}: leads out of the folder. Use paths relative to it, without `..`.")
        own = self.folder / video
        place = own if own.is_dir() else self.folder / path
        if self._root is not None and is_link_out(str(place), self._root, anywhere=True):
            raise DataError(f"{place}: {LEADS_OUT}.")
        return place

    def _stamps(self) -> str:
        """A folder's time changes with the names in it; to look at each file would take as long as reading them."""
        places = [(path, self._place(video)) for video, path in self._paths.items()]
        return stamps_checksum((path, place.stat().st_mtime_ns) for path, place in places if place.is_dir())
