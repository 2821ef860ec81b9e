"""Where frames come from: a place to its source, by a table of kinds. The loader treats all sources alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from bike.video.decode import Decoder, check_decoder

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

_Place = Path | str
_Samples = Sequence[Sample]
_NUM_TRIED = 10  # samples of the list that are looked for in a folder


def open_source(place: Path | str, samples: Sequence[Sample], *, decoder: str = "pyav") -> FrameSource:
    """The source for a place.

    Args:
        place: folder of shards (or its ``s3://`` or ``http://`` address), of frame packs with their manifest, of
            published-style frame folders, or of videos (also a tar of videos).
        samples: rows of the list, which say where in the place a video lies.
        decoder: ``pyav`` or ``decord``, for videos and shards of videos; stored frames need neither.

    Raises:
        BikeError: no such place, an unknown decoder, or one that is not installed.
        DataError: the place is none of these.
    """
    chosen = check_decoder(decoder)
    for fits, source in _KINDS:
        if fits(place, samples):
            return source(place, samples, chosen)
    raise DataError(
        f"{existing_dir(place)}: no shards, frame packs, frame folders or videos of the list. "
        "Run `bike shard` or `bike extract`."
    )


def _is_address(place: _Place, _: _Samples) -> bool:
    return remote_url(place) is not None


def _is_file(place: _Place, _: _Samples) -> bool:
    return Path(place).is_file()


def _has_shards(place: _Place, _: _Samples) -> bool:
    return Path(place, MANIFEST_NAME).is_file()


def _has_packs(place: _Place, _: _Samples) -> bool:
    return Path(place, "manifest.csv").is_file() and any(Path(place).glob(f"*{PACK_SUFFIX}"))


def _has_frame_folders(place: _Place, samples: _Samples) -> bool:
    by_key = (Path(place, sample.video) for sample in samples[:_NUM_TRIED])
    return any(path.is_dir() for path in (*_paths(place, samples), *by_key))


def _has_videos(place: _Place, samples: _Samples) -> bool:
    return any(path.is_file() for path in _paths(place, samples))


def _has_tars(place: _Place, _: _Samples) -> bool:
    return any(Path(place).glob("*.tar"))


def _paths(place: _Place, samples: _Samples) -> Iterator[Path]:
    return (Path(place, sample.path) for sample in samples[:_NUM_TRIED] if not Path(sample.path).is_absolute())


def _shards(place: _Place, _: _Samples, decoder: Decoder) -> FrameSource:
    return ShardSource(place, decoder=decoder)


def _videos(place: _Place, samples: _Samples, decoder: Decoder) -> FrameSource:
    return VideoSource(place, samples, decoder=decoder)


# The first kind that fits is taken: an extraction's folder with a manifest of shards in it holds shards.
_KINDS: tuple[
    tuple[Callable[[_Place, _Samples], bool], Callable[[_Place, _Samples, Decoder], FrameSource]],
    ...,
] = (
    (_is_address, lambda place, _, decoder: RemoteShardSource(str(place), decoder=decoder)),
    (_is_file, _videos),
    (_has_shards, _shards),
    (_has_packs, lambda place, _samples, _decoder: PackSource(place)),
    (_has_frame_folders, lambda place, samples, _: FolderSource(place, samples)),
    (_has_videos, _videos),
    (_has_tars, _shards),  # which says that their manifest is missing
)
