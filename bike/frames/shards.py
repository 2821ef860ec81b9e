"""Frames out of shards, on a local disk or behind a URL."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bike.errors import DataError, reason_of
from bike.files import existing_dir, open_regular
from bike.formats.packs import read_frames
from bike.formats.shards import INDEX_NAME, ShardIndex, StoredVideo, parse_stored, read_shard_manifest
from bike.frames.prefetch import ShardsAhead
from bike.frames.remote import RemoteFolder
from bike.frames.source import FileWindow, Frames, FrameSource, Prefetch, Recent
from bike.records import Sample
from bike.video.decode import Decoder, decode_frames
from bike.video.file import VideoFile

_OPEN_FILES = 64  # each process of the loader has its own, of the 1024 that are usually allowed
_KEPT_JSONS = 4096  # parsed, with their offsets
_HAS_PROC = Path("/proc/self/fd").is_dir()  # Linux


class ShardSource(FrameSource):
    """Frames out of a local folder of shards. Only the bytes of the frames asked for are read.

    Args:
        folder: as written by :func:`bike.shard.run.write_shards`.
        short_side: px, for shards that hold video files (``payload="mp4"``); frames in shards are as they are.
        decoder: ``pyav`` or ``decord``, of video files.
        timeout_seconds: for decoding one sample out of a video file.

    Raises:
        DataError: no shards, unfinished or damaged ones.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        short_side: int | None = 256,
        decoder: Decoder = "pyav",
        timeout_seconds: float = 60.0,
    ) -> None:
        self._folder = existing_dir(folder)
        manifest = read_shard_manifest(self._folder)
        index = ShardIndex(manifest, self._folder / INDEX_NAME)
        self._begin(str(self._folder), index, manifest, short_side, decoder, timeout_seconds)

    def _begin(
        self,
        name: str,
        index: ShardIndex,
        manifest: Mapping[str, Any],
        short_side: int | None,
        decoder: Decoder,
        timeout_seconds: float,
    ) -> None:
        self.name, self.index = name, index
        self.class_names = manifest.get("names")
        self.frames_per_video = manifest["frames_per_video"] if index.payload == "mjpg" else None
        self._short_side, self._decoder, self._timeout_seconds = short_side, decoder, timeout_seconds
        self._open_files: OrderedDict[int, int] = OrderedDict()
        self._stored: Recent[StoredVideo] = Recent(_KEPT_JSONS)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open_files": OrderedDict()}  # descriptors mean nothing in another process

    def __del__(self) -> None:
        for descriptor in getattr(self, "_open_files", {}).values():  # none where the constructor failed
            os.close(descriptor)

    def samples(self) -> list[Sample]:
        """The rows of the list that the shards were made from, sorted by video key."""
        return [sample for key in sorted(self.index.keys) for sample in self._parse(key).samples]

    def stored(self, video: str) -> StoredVideo:
        """What the shards say about a video."""
        return self._stored.get(video, self._parse)

    def num_frames(self, video: str) -> int:
        """Frames stored."""
        return self.stored(video).frames

    def fps(self, video: str) -> float:
        """Frames per second of the stored frames."""
        return self.stored(video).fps

    def shard_of(self, video: str) -> int:
        """Number of the shard that a video lies in."""
        return self.index.place(video)[0]

    def read(self, video: str, frame_indices: Sequence[int], *, gray: bool = False) -> Frames:
        """Decode chosen frames; see :class:`bike.frames.source.FrameSource`. Video files give colours always."""
        stored = self.stored(video)
        number, _, _, offset, size = self.index.place(video)
        with self._opened(number) as descriptor:
            try:
                if stored.offsets is None:
                    return self._decode(descriptor, offset, size, frame_indices)
                window: Any = FileWindow(descriptor, offset)
                return read_frames(window, stored.offsets, frame_indices, gray=gray, checksums=stored.checksums)
            except DataError as error:
                raise DataError(f"{self._place(number)}: {video}: {error}") from error
            except OSError as error:
                raise DataError(f"{self._place(number)}: {video}: {reason_of(error)}.") from error

    def _decode(self, descriptor: int, offset: int, size: int, frame_indices: Sequence[int]) -> Frames:
        # A helper process decodes. By its path it might miss the shard, which the cache may give up meanwhile; through
        # /proc it opens what this process holds open, and reads no more than it needs. Elsewhere it gets all bytes.
        file = VideoFile(f"/proc/{os.getpid()}/fd/{descriptor}", offset, size) if _HAS_PROC else None
        try:
            return decode_frames(
                file or os.pread(descriptor, size, offset),
                frame_indices,
                backend=self._decoder,
                short_side=self._short_side,
                timeout_seconds=self._timeout_seconds,
            )
        except DataError as error:  # which begins with a name that says nothing to a reader
            raise DataError(str(error).partition(": ")[2]) from error

    def _parse(self, video: str) -> StoredVideo:
        number, offset, size, _, payload_size = self.index.place(video)
        with self._opened(number) as descriptor:
            try:
                data = os.pread(descriptor, size, offset)
            except OSError as error:
                raise DataError(f"{self._place(number)}: {video}: {reason_of(error)}.") from error
        return parse_stored(data, video, payload_size, self._place(number))

    def _place(self, number: int) -> str:
        return f"{self.name}/{self.index.shards[number]}"

    @contextmanager
    def _opened(self, number: int) -> Iterator[int]:
        """A shard, open for reading; a few are kept open."""
        if number not in self._open_files:
            self._open_files[number] = self._open(self._folder / self.index.shards[number], number)
            if len(self._open_files) > _OPEN_FILES:
                os.close(self._open_files.popitem(last=False)[1])
        self._open_files.move_to_end(number)
        yield self._open_files[number]

    def _open(self, path: Path, number: int) -> int:
        try:
            descriptor = open_regular(path)
        except OSError as error:
            raise DataError(
                f"{self._place(number)}: can't be opened ({reason_of(error)}). Run `bike shard` again."
            ) from error
        size = os.fstat(descriptor).st_size
        if size != self.index.sizes[number]:
            os.close(descriptor)
            raise DataError(
                f"{self._place(number)}: {size} bytes, the manifest says {self.index.sizes[number]}. "
                "Run `bike shard` again."
            )
        return descriptor


class RemoteShardSource(ShardSource):
    """Frames out of shards behind a URL, through a cache on disk; see :class:`bike.frames.remote.RemoteFolder`.

    Args:
        url: ``s3://``, ``http://`` or ``https://`` address of a folder of shards.
        cache, max_cache_mb: where fetched shards are kept, and how much.
        window: shards whose samples the training loader mixes at a time; the cache should hold a few more.
        short_side, decoder, timeout_seconds: as for :class:`ShardSource`.
        **remote: other options of :class:`bike.frames.remote.RemoteFolder`.
    """

    def __init__(
        self,
        url: str,
        *,
        cache: Path | str | None = None,
        max_cache_mb: float | None = None,
        window: int = 4,
        short_side: int | None = 256,
        decoder: Decoder = "pyav",
        timeout_seconds: float = 60.0,
        **remote: Any,
    ) -> None:
        self.remote = RemoteFolder(url, cache=cache, max_cache_mb=max_cache_mb, **remote)
        self.window = window
        index = ShardIndex(self.remote.manifest, self.remote.index())
        self._begin(self.remote.url, index, self.remote.manifest, short_side, decoder, timeout_seconds)

    def prefetch(self, videos: Sequence[str], window: int | None) -> Prefetch:
        """Fetch the shards of an epoch before their turn, as far as the cache has room beside the window in use."""
        if window is None:  # any shard may be next
            return super().prefetch(videos, window)
        room = int(self.remote.max_cache_bytes // max(1, *self.index.sizes)) - window
        shards = [self.shard_of(video) for video in videos]
        return ShardsAhead(shards, lambda number: self.remote.fetch(self.index.shards[number]), min(window, room))

    def _place(self, number: int) -> str:
        return self.remote.place(self.index.shards[number])

    @contextmanager
    def _opened(self, number: int) -> Iterator[int]:
        """A shard, fetched if need be. It is closed again at once, so that the cache can give its bytes back."""
        descriptor = self.remote.open(self.index.shards[number])
        try:
            yield descriptor
        finally:
            os.close(descriptor)
