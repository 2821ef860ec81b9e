"""Frames out of shards, on a local disk or behind a URL."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bike.errors import DataError, reason_of
from bike.files import existing_dir, open_regular, reading, sha256
from bike.formats.kept import KeptFrames
from bike.formats.packs import read_frames
from bike.formats.shards import INDEX_NAME, MANIFEST_NAME, ShardIndex, StoredVideo, parse_stored, read_shard_manifest
from bike.frames.prefetch import ShardsAhead
from bike.frames.remote import RemoteFolder, remote_url
from bike.frames.source import FileWindow, Frames, FrameSource, Prefetch, Recent
from bike.records import Sample
from bike.video.decode import Decoder, decode_frames
from bike.video.file import VideoFile

_OPEN_FILES = 64  # each process of the loader has its own, of the 1024 that are usually allowed
_KEPT_JSONS = 4096  # parsed, with their offsets
_HAS_PROC = Path("/proc/self/fd").is_dir()  # Linux


class LocalFolder:
    """A folder of shards on a disk; with the methods of :class:`bike.frames.remote.RemoteFolder`.

    Raises:
        DataError: no shards, or unfinished ones.
    """

    def __init__(self, folder: Path | str) -> None:
        self._folder = existing_dir(folder)
        self.name = str(self._folder)
        self.manifest = read_shard_manifest(self._folder)
        self.checksum = sha256(self._folder / MANIFEST_NAME)
        self._sizes = {shard["name"]: shard["bytes"] for shard in self.manifest["shards"]}

    def index(self) -> Path:
        """The index."""
        return self._folder / INDEX_NAME

    def place(self, name: str) -> str:
        """A shard, for errors."""
        return f"{self.name}/{name}"

    def open(self, name: str) -> int:
        """A descriptor of a shard, for the caller to close.

        Raises:
            DataError: it can't be opened, or has another size than the manifest says.
        """
        try:
            descriptor = open_regular(self._folder / name)
        except OSError as error:
            raise DataError(
                f"{self.place(name)}: can't be opened ({reason_of(error)}). Run `bike shard` again."
            ) from error
        size = os.fstat(descriptor).st_size
        if size != self._sizes[name]:
            os.close(descriptor)
            raise DataError(
                f"{self.place(name)}: {size} bytes, the manifest says {self._sizes[name]}. Run `bike shard` again."
            )
        return descriptor


def shard_folder(place: Path | str, **remote: Any) -> LocalFolder | RemoteFolder:
    """The folder of shards at a path, or at an address with the options of :class:`RemoteFolder`."""
    return LocalFolder(place) if (url := remote_url(place)) is None else RemoteFolder(url, **remote)


class ShardSource(FrameSource):
    """Frames out of a folder of shards. Only the bytes of the frames asked for are read.

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
        folder: Path | str | RemoteFolder,
        *,
        short_side: int | None = 256,
        decoder: Decoder = "pyav",
        timeout_seconds: float = 60.0,
    ) -> None:
        self._folder = folder if isinstance(folder, RemoteFolder) else LocalFolder(folder)
        self.index = ShardIndex(self._folder.manifest, self._folder.index())
        self.class_names = self._folder.manifest.get("names")
        self.checksum = self._folder.checksum
        self.frames_per_video = self._folder.manifest["frames_per_video"] if self.index.payload == "mjpg" else None
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
        """Frames of the video."""
        return self.stored(video).frames

    def fps(self, video: str) -> float:
        """Frames per second."""
        return self.stored(video).fps

    def kept(self, video: str) -> KeptFrames:
        """Which frames the shards hold."""
        return self.stored(video).kept

    def shard_of(self, video: str) -> int:
        """Number of the shard that a video lies in."""
        return self.index.place(video)[0]

    def read(self, video: str, frame_indices: Sequence[int], *, gray: bool = False) -> Frames:
        """Decode chosen frames; see :class:`bike.frames.source.FrameSource`. Video files give colours always."""
        stored = self.stored(video)
        number, _, _, offset, size = self.index.place(video)
        with self._opened(number) as descriptor, reading(f"{self._place(number)}: {video}"):
            if stored.offsets is None:
                return self._decode(descriptor, offset, size, frame_indices)
            window = FileWindow(descriptor, offset)
            places = stored.kept.places(frame_indices)
            return read_frames(window, stored.offsets, places, gray=gray, checksums=stored.checksums)

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
        place = self._place(number)
        with self._opened(number) as descriptor:
            with reading(f"{place}: {video}"):
                data = os.pread(descriptor, size, offset)
            return parse_stored(data, video, payload_size, place)

    def _place(self, number: int) -> str:
        return self._folder.place(self.index.shards[number])

    @contextmanager
    def _opened(self, number: int) -> Iterator[int]:
        """A shard, open for reading; a few are kept open."""
        if number not in self._open_files:
            self._open_files[number] = self._folder.open(self.index.shards[number])
            if len(self._open_files) > _OPEN_FILES:
                os.close(self._open_files.popitem(last=False)[1])
        self._open_files.move_to_end(number)
        yield self._open_files[number]


class RemoteShardSource(ShardSource):
    """Frames out of shards behind a URL, through a cache on disk; see :class:`bike.frames.remote.RemoteFolder`.

    Args:
        url: ``s3://``, ``http://`` or ``https://`` address of a folder of shards.
        window: shards whose samples the training loader mixes at a time; the cache should hold a few more.
        short_side, decoder, timeout_seconds: as for :class:`ShardSource`.
        **remote: options of :class:`bike.frames.remote.RemoteFolder`: ``cache``, ``max_cache_mb`` and so on.
    """

    def __init__(
        self, url: str, *, window: int = 4, short_side: int | None = 256, decoder: Decoder = "pyav", **remote: Any
    ) -> None:
        self.remote, self.window = RemoteFolder(url, **remote), window
        super().__init__(self.remote, short_side=short_side, decoder=decoder)

    def prefetch(self, videos: Sequence[str], window: int | None) -> Prefetch:
        """Fetch the shards of an epoch before their turn, as far as the cache has room beside the window in use."""
        if window is None:  # any shard may be next
            return super().prefetch(videos, window)
        room = int(self.remote.max_cache_bytes // max(1, *self.index.sizes)) - window
        shards = [self.shard_of(video) for video in videos]
        return ShardsAhead(shards, lambda number: self.remote.fetch(self.index.shards[number]), min(window, room))

    @contextmanager
    def _opened(self, number: int) -> Iterator[int]:
        """A shard, fetched if need be. It is closed again at once, so that the cache can give its bytes back."""
        descriptor = self.remote.open(self.index.shards[number])
        try:
            yield descriptor
        finally:
            os.close(descriptor)
