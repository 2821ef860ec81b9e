"""Reads what :mod:`bike.shard.run` wrote, trusting nothing: manifest, index, and the JSON of a sample."""

from __future__ import annotations

import json
import math
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bike.errors import BikeError, DataError
from bike.files import read_json, reading, sha256
from bike.files.tables import read_table
from bike.formats.kept import KeptFrames
from bike.records import KEY, Sample

FORMAT = "bike-shards-1"
MANIFEST_NAME = "manifest.json"
INDEX_NAME = "index.csv"
INDEX_COLUMNS = ("key", "shard", "json_offset", "json_size", "data_offset", "data_size")
LARGEST_JSON_BYTES = 1 << 25  # 32 MB: offsets of three million frames
LARGEST_MANIFEST_BYTES = 1 << 27  # 128 MB: some 500,000 shards
_REMEDY = "Write the shards again with `bike shard`."
_NUMBER = re.compile(r"[0-9]{1,18}")  # always fits into 63 bits
_SHARD_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}\.tar", re.ASCII)


@dataclass(frozen=True, slots=True)
class StoredVideo:
    """What the JSON of a sample says.

    Attributes:
        key, path: the video's key and source path.
        frames: frames of the video. Shards that earlier versions made with ``frames_per_video`` say how many they
            store, at a rate as much lower.
        fps: frames per second, 0 when not known.
        width, height: pixels.
        kept: which of the frames are stored.
        offsets: (stored frames + 1) byte positions in the payload; None when the payload is a video file.
        checksums: CRC-32 of each stored frame; None for a video file, and in shards of versions that kept none.
        samples: the rows of the list that use the video.
    """

    key: str
    path: str
    frames: int
    fps: float
    width: int
    height: int
    kept: KeptFrames
    offsets: array[int] | None
    checksums: array[int] | None
    samples: tuple[Sample, ...]


def read_shard_manifest(folder: Path, *, source: str | None = None) -> dict[str, Any]:
    """Read ``manifest.json`` of a folder of shards; ``source`` names it in errors instead of its path.

    Raises:
        DataError: it is missing (the shards were not finished), damaged, or of another format.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise DataError(f"{folder}: no {MANIFEST_NAME}; no shards, or not finished ones. Run `bike shard` (again).")
    if path.stat().st_size > LARGEST_MANIFEST_BYTES:
        raise DataError(f"{path}: {path.stat().st_size} bytes; no manifest is that large. {_REMEDY}")
    try:
        return _check_manifest(read_json(path), source or str(path))
    except DataError:
        raise
    except BikeError as error:
        raise DataError(str(error).replace(str(path), source or str(path))) from error


def _check_manifest(content: Any, source: str) -> dict[str, Any]:
    try:
        if content["format"] != FORMAT:
            raise DataError(f"{source}: format {content['format']!r:.60} is not {FORMAT!r}. {_REMEDY}")
        for name in ("videos", "samples", "bytes"):
            _whole(content[name])
        _whole(content["index"]["bytes"])
        names = set()
        for shard in content["shards"]:
            # The name is joined to a folder, or to a URL.
            if not _SHARD_NAME.fullmatch(shard["name"]) or shard["name"] in names:
                raise ValueError
            names.add(shard["name"])
            for name in ("bytes", "videos", "samples"):
                _whole(shard[name])
            if not all(isinstance(shard[name], str) for name in ("sha256", "recipe")):
                raise ValueError
        if not names or content["index"]["name"] != INDEX_NAME or not isinstance(content["index"]["sha256"], str):
            raise ValueError
        if {"payload", "frames_per_video", "max_size_mb"} - set(content):
            raise ValueError
        if content["frames_per_video"] is not None and _whole(content["frames_per_video"]) < 1:
            raise ValueError
        classes = content.get("names")  # shards of earlier versions have none
        if classes is not None and not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{source}: not a manifest of shards, or a damaged one. {_REMEDY}") from None
    return dict(content)


def _whole(value: Any) -> int:
    # `true` is an int to Python; beyond 62 bits, sums of sizes would leave the 64 of arrays and seeks.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        raise ValueError
    return value


def read_index_rows(path: Path) -> Iterator[tuple[str, str, int, int, int, int]]:
    """Yield the rows of ``index.csv``: key, shard, and the place of the JSON and of the payload in the shard.

    Raises:
        DataError: missing, of another form, or with impossible numbers.
    """
    for line, key, shard, *numbers in read_table(path, INDEX_COLUMNS, exact=True).itertuples(name=None):
        if not KEY.fullmatch(key) or not all(map(_NUMBER.fullmatch, numbers)):
            raise DataError(f"{path}: line {line}: not a row of an index of shards. {_REMEDY}")
        yield key, shard, *map(int, numbers)


class ShardIndex:
    """Where each video lies: shard, and byte positions in it.

    Attributes:
        shards: file names of the shards, in the manifest's order.
        sizes: bytes of each.
        keys: video key -> row.
        places: int64 (rows, 5): number of the shard, JSON offset and size, payload offset and size.
    """

    def __init__(self, manifest: dict[str, Any], index: Path) -> None:
        if not index.is_file() or sha256(index) != manifest["index"]["sha256"]:
            raise DataError(f"{index}: missing or changed since it was written. {_REMEDY}")
        self.shards: list[str] = [shard["name"] for shard in manifest["shards"]]
        self.sizes: list[int] = [shard["bytes"] for shard in manifest["shards"]]
        self.payload: str = manifest["payload"]
        numbers = {name: number for number, name in enumerate(self.shards)}
        places = array("q")  # 40 bytes a video instead of a tuple's 200: an index can have millions of rows
        self.keys: dict[str, int] = {}
        for key, shard, json_offset, json_size, data_offset, data_size in read_index_rows(index):
            number = numbers.get(shard)
            if number is None or key in self.keys or len(self.keys) >= manifest["videos"]:
                raise DataError(f"{index}: {key} names an unknown shard, is a duplicate, or is one too many. {_REMEDY}")
            size = self.sizes[number]
            if json_offset + json_size > size or data_offset + data_size > size or json_size > LARGEST_JSON_BYTES:
                raise DataError(f"{index}: {key} lies outside {shard} ({size} bytes). {_REMEDY}")
            self.keys[key] = len(self.keys)
            places.extend((number, json_offset, json_size, data_offset, data_size))
        self.places = np.frombuffer(places, dtype=np.int64).reshape(len(self.keys), 5)
        if len(self.keys) != manifest["videos"]:
            raise DataError(f"{index}: {len(self.keys)} videos, the manifest says {manifest['videos']}. {_REMEDY}")

    def place(self, key: str) -> tuple[int, int, int, int, int]:
        """Shard number, JSON offset and size, payload offset and size of a video.

        Raises:
            DataError: there is no such video.
        """
        row = self.keys.get(key)
        if row is None:
            raise DataError(f"{key}: not in these shards. Write them for the list in use with `bike shard`.")
        number, json_offset, json_size, data_offset, data_size = (int(value) for value in self.places[row])
        return number, json_offset, json_size, data_offset, data_size


def parse_stored(data: bytes, key: str, payload_size: int, source: str) -> StoredVideo:
    """Read and check the JSON of a sample.

    Args:
        data: the JSON member.
        key: the key it must have.
        payload_size: bytes of the payload, which the frame offsets must fill.
        source: names the shard in errors.

    Raises:
        DataError: not JSON, of another form, or with offsets out of range.
    """
    try:
        content = json.loads(data)
        if content["key"] != key or not isinstance(content["path"], str):
            raise ValueError
        frames = _whole(content["frames"])
        fps = float(content["fps"])
        offsets = content["offsets"]
        if frames < 1 or not math.isfinite(fps) or fps < 0:
            raise ValueError
        listed = content.get("kept")  # there where not all are
        kept = KeptFrames.all_of(frames)
        if listed is not None:
            with reading(f"{source}: {key}"):
                kept = KeptFrames.checked(array("q", map(_whole, listed)), frames)
        stored = len(kept.indices)
        if offsets is not None:
            # Kept as an array by every worker for thousands of videos: 8 bytes a frame.
            offsets = array("q", (_whole(offset) for offset in offsets))
            rising = all(low < high for low, high in pairwise(offsets))
            if len(offsets) != stored + 1 or offsets[0] != 0 or offsets[-1] != payload_size or not rising:
                raise DataError(f"{source}: {key}: frame offsets do not fit its {payload_size} bytes. {_REMEDY}")
        checksums = content.get("crc32")
        if checksums is not None:
            checksums = array("I", checksums)
            if offsets is None or len(checksums) != stored:
                raise ValueError
        samples = _samples(content, key, frames)
        size = _whole(content["width"]), _whole(content["height"])
        return StoredVideo(key, content["path"], frames, fps, *size, kept, offsets, checksums, samples)
    except DataError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError, UnicodeDecodeError):
        raise DataError(f"{source}: {key}: its JSON is damaged. {_REMEDY}") from None


def _samples(content: dict[str, Any], key: str, frames: int) -> tuple[Sample, ...]:
    return tuple(
        Sample(
            _name(item["key"]),
            key,
            content["path"],
            tuple(_whole(label) for label in item["labels"]),
            frames,
            _time(item["start_seconds"]),
            _time(item["end_seconds"]),
        )
        for item in content["instances"]
    )


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _time(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number
