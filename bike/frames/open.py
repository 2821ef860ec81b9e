"""Where frames come from: shards, frame packs, frame folders, videos. The loader knows them by three methods only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bike.errors import DataError
from bike.files import existing_dir
from bike.formats.packs import MAX_READ_PIXELS, PACK_SUFFIX
from bike.frames.files import FolderSource, PackSource
from bike.frames.remote import remote_url
from bike.frames.shards import RemoteShardSource, ShardSource
from bike.frames.source import Frames, FrameSource, GraySource, Recent
from bike.frames.videos import VideoSource
from bike.records import Sample

__all__ = [
    "CachedSource",
    "FolderSource",
    "FrameSource",
    "Frames",
    "GraySource",
    "PackSource",
    "Recent",
    "RemoteShardSource",
    "ShardSource",
    "VideoSource",
    "open_source",
]

_Read = Callable[[str, Sequence[int]], Frames]


class CachedSource:
    """Keeps decoded videos of another source in memory, for data sets that are small once decoded.

    All frames of a video are decoded when it is first asked for, until one does not fit; from then on others are read
    through. Each process has its own cache, so it pays with ``workers=0``, or over many epochs.

    Args:
        source: any source.
        cache_mb: room for decoded frames, in 10^6 bytes.
    """

    def __init__(self, source: FrameSource, cache_mb: float) -> None:
        self.source = source
        self._room = int(cache_mb * 1e6)
        self._full = False
        self._videos: dict[str, Frames] = {}
        self._gray: dict[str, Frames] = {}

    def num_frames(self, video: str) -> int:
        """Frames of a video."""
        return self.source.num_frames(video)

    def fps(self, video: str) -> float:
        """Frames per second."""
        return self.source.fps(video)

    def read(self, video: str, frame_indices: Sequence[int]) -> Frames:
        """Decode chosen frames; see :class:`bike.frames.open.FrameSource`."""
        return self._cached(video, frame_indices, self.source.read, self._videos)

    def read_gray(self, video: str, frame_indices: Sequence[int]) -> Frames:
        """Decode the luma of chosen frames, if the source can; see :class:`bike.frames.open.GraySource`."""
        if isinstance(self.source, GraySource):
            return self._cached(video, frame_indices, self.source.read_gray, self._gray)
        return self.read(video, frame_indices)

    def _cached(self, video: str, indices: Sequence[int], read: _Read, videos: dict[str, Frames]) -> Frames:
        kept = videos.get(video)
        if kept is None:
            some = read(video, indices)
            count = self.source.num_frames(video)
            needed = some[0].nbytes * count
            if self._full or needed > self._room or some[0].size // some.shape[3] * count > MAX_READ_PIXELS:
                self._full = self._full or needed > self._room
                return some
            kept = videos[video] = _completed(video, some, indices, count, read)
            self._room -= needed
        if min(indices) < 0 or max(indices) >= len(kept):
            raise DataError(f"{video}: no frame {max(indices)} (it has {len(kept)}).")
        return kept[np.asarray(indices, dtype=np.intp)]


def _completed(video: str, some: Frames, indices: Sequence[int], count: int, read: _Read) -> Frames:
    """All frames of a video, of which ``some`` are decoded already."""
    kept = np.empty((count, *some.shape[1:]), np.uint8)
    kept[np.asarray(indices, dtype=np.intp)] = some
    rest = sorted(set(range(count)) - set(indices))
    if rest:
        others = read(video, rest)
        if others.shape[1:] != some.shape[1:]:
            raise DataError(f"{video}: its frames are of different sizes. Extract the video again.")
        kept[rest] = others
    return kept


def open_source(place: Path | str, samples: Sequence[Sample], *, fps: float = 0.0) -> FrameSource:
    """The source for a place.

    Args:
        place: folder of shards (or its ``s3://`` or ``http://`` address), of frame packs with their manifest, of
            published-style frame folders, or of videos (also a tar of videos).
        samples: rows of the list, which say where in the place a video lies.
        fps: frames per second of frame folders, which do not say it.

    Raises:
        DataError: the place is none of these.
    """
    url = remote_url(place)
    if url is not None:
        return RemoteShardSource(url)
    if Path(place).is_file():
        return VideoSource.from_media(place, samples)
    folder = existing_dir(place)
    if (folder / "manifest.json").is_file():
        return ShardSource(folder)
    if (folder / "manifest.csv").is_file() and any(folder.glob(f"*{PACK_SUFFIX}")):
        return PackSource(folder)
    paths = [folder / sample.path for sample in samples[:10] if not Path(sample.path).is_absolute()]
    if any(path.is_dir() for path in [*paths, *(folder / sample.video for sample in samples[:10])]):
        return FolderSource(folder, samples, fps=fps)
    if any(path.is_file() for path in paths):
        return VideoSource.from_media(folder, samples)
    if any(folder.glob("*.tar")):
        return ShardSource(folder)  # raises: the manifest is missing
    raise DataError(
        f"{folder}: no shards, frame packs, frame folders or videos of the list. Run `bike shard` or `bike extract`."
    )
