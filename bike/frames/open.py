"""Where frames come from: a place to its source. The loader treats all sources alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bike.errors import DataError
from bike.files import existing_dir
from bike.formats.packs import PACK_SUFFIX
from bike.formats.shards import MANIFEST_NAME
from bike.frames.files import FolderSource, PackSource
from bike.frames.remote import remote_url
from bike.frames.shards import RemoteShardSource, ShardSource
from bike.frames.source import Frames, FrameSource
from bike.frames.videos import VideoSource
from bike.records import Sample
from bike.video.decode import check_decoder

__all__ = [
    "FolderSource",
    "FrameSource",
    "Frames",
    "PackSource",
    "RemoteShardSource",
    "ShardSource",
    "VideoSource",
    "open_source",
]

_NUM_TRIED = 10  # samples of the list that are looked for in a folder


def open_source(
    place: Path | str, samples: Sequence[Sample], *, decoder: str = "pyav", follow_links: bool = False
) -> FrameSource:
    """The source for a place.

    Args:
        place: folder of shards (or its ``s3://`` or ``http://`` address), of frame packs with their manifest, of
            published-style frame folders, or of videos (also a tar of videos).
        samples: rows of the list, which say where in the place a video lies.
        decoder: ``pyav`` or ``decord``, for videos and shards of videos; stored frames need neither.
        follow_links: videos and frame folders may be links that lead out of the place. Frame packs and shards may be
            in any case: DVC makes such links, and what they lead to must have the manifest's checksums.

    Raises:
        BikeError: no such place, an unknown decoder, or one that is not installed.
        DataError: the place is none of these.
    """
    chosen, folder = check_decoder(decoder), Path(place)
    if remote_url(place) is not None:
        return RemoteShardSource(str(place), decoder=chosen)
    if folder.is_file():
        return VideoSource(place, samples, decoder=chosen, follow_links=follow_links)
    # Shards come first: a folder that was extracted into, and then sharded into, holds both.
    if (folder / MANIFEST_NAME).is_file():
        return ShardSource(place, decoder=chosen)
    if (folder / "manifest.csv").is_file() and any(folder.glob(f"*{PACK_SUFFIX}")):
        return PackSource(place)
    tried = samples[:_NUM_TRIED]
    paths = [folder / sample.path for sample in tried if not Path(sample.path).is_absolute()]
    if any(path.is_dir() for path in (*paths, *(folder / sample.video for sample in tried))):
        return FolderSource(place, samples, follow_links=follow_links)
    if any(path.is_file() for path in paths):
        return VideoSource(place, samples, decoder=chosen, follow_links=follow_links)
    if any(folder.glob("*.tar")):
        return ShardSource(place, decoder=chosen)  # which says that their manifest is missing
    raise DataError(
        f"{existing_dir(place)}: no shards, frame packs, frame folders or videos of the list. "
        "Run `bike shard` or `bike extract`."
    )
