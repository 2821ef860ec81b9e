"""Which video goes into which shard: a rule on the key's hash, so that a small edit touches few shards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bike.records import Sample, VideoRecord
from bike.video.file import VideoFile

_BITS = 20  # five hexadecimal digits in a shard's name; a million shards at most


@dataclass(frozen=True, slots=True)
class PlannedVideo:
    """A video on its way into a shard.

    Attributes:
        record: what extraction knows about the video.
        samples: the list's rows that use it, sorted by key.
        source: path of its frame pack or frame folder, or the video file.
        weight: bytes it will take in a tar, about.
        checksum: of the payload's size and a few pieces, to notice a changed pack.
    """

    record: VideoRecord
    samples: tuple[Sample, ...]
    source: str | VideoFile
    weight: int
    checksum: str

    @property
    def key(self) -> str:
        return self.record.key


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """A planned shard: its file name and its videos in the order of their keys."""

    name: str
    videos: tuple[PlannedVideo, ...]


def hash_position(key: str) -> int:
    """The first 20 bits of a key's SHA-256, such as 0x4a010 for ``walk__a``."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4]) >> (32 - _BITS)


def plan_shards(videos: Sequence[PlannedVideo], max_bytes: int) -> list[PlannedShard]:
    """Divide videos among shards of at most ``max_bytes``.

    The space of key hashes is halved until what lies in a part fits into one shard. Whether a part is halved depends on
    its own videos only, so adding, changing or removing one video changes one shard, or splits one, or joins two.
    A shard is named after the first hash of its part (five hexadecimal digits), so the others keep their names, too.
    A video larger than ``max_bytes`` has a shard for itself.

    Example:
        Positions of four videos of 40 bytes each, and ``max_bytes=100``::

            walk__a  4a010   } 00000 to 7ffff: 80 bytes, fits          -> 00000.tar
            jump__b  5d949   }
            jump__c  8320b   } 80000 to fffff: 80 bytes, fits          -> 80000.tar
            jump__a  c5493   }

        With ``walk__c`` (b4c8f) the second half has 120 bytes and is halved in turn; the first stays as it was::

            jump__c, walk__c   80000 to bffff: 80 bytes, fits          -> 80000.tar
            jump__a            c0000 to fffff: 40 bytes, fits          -> c0000.tar

    Returns:
        Shards in the order of their names.
    """
    ordered = sorted(videos, key=lambda video: (hash_position(video.key), video.key))
    positions = [hash_position(video.key) for video in ordered]
    return list(_halve(ordered, positions, max_bytes, depth=0, prefix=0))


def _halve(
    videos: Sequence[PlannedVideo], positions: Sequence[int], max_bytes: int, *, depth: int, prefix: int
) -> Iterator[PlannedShard]:
    if not videos:
        return
    # At the last bit the videos share a hash, and nothing can part them: the shard is larger than asked for.
    if len(videos) == 1 or depth == _BITS or sum(video.weight for video in videos) <= max_bytes:
        name = f"{prefix << (_BITS - depth):05x}.tar"
        yield PlannedShard(name, tuple(sorted(videos, key=lambda video: video.key)))
        return
    bit = 1 << (_BITS - depth - 1)  # videos are sorted by position, so those without this bit come first
    low = sum(1 for position in positions if not position & bit)
    yield from _halve(videos[:low], positions[:low], max_bytes, depth=depth + 1, prefix=prefix * 2)
    yield from _halve(videos[low:], positions[low:], max_bytes, depth=depth + 1, prefix=prefix * 2 + 1)
