"""``bike shard --verify``: every byte of a folder of shards is what the manifest and the index say."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, repeat
from pathlib import Path

from bike.errors import DataError, first_few
from bike.files import existing_dir, reading, sha256, unreadable
from bike.formats.packs import jpeg_checksum
from bike.formats.shards import INDEX_NAME, MANIFEST_NAME, ShardIndex, parse_stored, read_shard_manifest
from bike.formats.tar import Member, scan_members
from bike.progress import progress
from bike.workers.pool import run_tasks

_Row = tuple[str, int, int, int, int]


@dataclass(frozen=True, slots=True)
class VerifySummary:
    """What :func:`verify_shards` read: counts, all of them right."""

    shards: int
    videos: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Check:
    path: str
    sha256: str
    bytes: int
    rows: tuple[_Row, ...]


def verify_shards(folder: Path | str, *, jobs: int | None = None) -> VerifySummary:
    """Read all shards of a folder and compare them with the manifest and the index.

    Checked are sizes and SHA-256 of index and shards, the members of every tar against the index, the JSON of every
    sample, that a JPEG begins and ends at every frame offset, and its CRC-32 where one is kept.

    Args:
        folder: as written by :func:`bike.shard.run.write_shards`.
        jobs: processes; None for one per core.

    Raises:
        DataError: what does not agree; the first ten findings are named.
    """
    folder = existing_dir(folder)
    manifest = read_shard_manifest(folder)
    problems: list[str] = []
    listed = ShardIndex(manifest, folder / INDEX_NAME)
    for name in ("videos", "samples", "bytes"):
        if manifest[name] != sum(shard[name] for shard in manifest["shards"]):
            problems.append(f"{folder / MANIFEST_NAME}: {name} are not the sum of those of the shards.")
    if manifest["payload"] not in ("mjpg", "mp4"):
        problems.append(f"{folder / MANIFEST_NAME}: payload is neither mjpg nor mp4.")
    rows: list[list[_Row]] = [[] for _ in listed.shards]
    for key in listed.keys:
        place = listed.place(key)
        rows[place[0]].append((key, *place[1:]))
    unlisted = sorted(path for path in folder.glob("*.tar") if path.name not in listed.shards)
    problems += [f"{path}: not in the manifest." for path in unlisted]
    checks = [
        _Check(str(folder / shard["name"]), shard["sha256"], shard["bytes"], tuple(own))
        for shard, own in zip(manifest["shards"], rows, strict=True)
    ]
    with progress("verify", len(checks), unit="shards") as shown:
        for outcome in run_tasks(_verify_shard, checks, jobs=jobs):
            problems += outcome.get()
            shown.advance(1, f"{len(problems)} findings" if problems else "")
    if problems:
        raise DataError(f"{folder}: {len(problems)} findings: {first_few(problems)}")
    return VerifySummary(len(checks), manifest["videos"], manifest["bytes"])


def _verify_shard(check: _Check) -> list[str]:
    path = Path(check.path)
    try:
        if path.stat().st_size != check.bytes:
            return [f"{path}: {path.stat().st_size} bytes, the manifest says {check.bytes}."]
        # The cheap checks first, and members before the checksum: they say what changed, not only that something did.
        members = list(scan_members(path))
        if [place for row in check.rows for place in (row[1:3], row[3:5])] != [(m.offset, m.size) for m in members]:
            return [f"{path}: its members do not lie where the index says."]
        if sha256(path) != check.sha256:
            return [
                f"{path}: changed since it was written (its SHA-256 differs). Delete it, and run `bike shard` again."
            ]
        return _verify_samples(path, check.rows, members)
    except OSError as error:
        return [str(unreadable(path, error))]
    except DataError as error:
        return [str(error)]


def _verify_samples(path: Path, rows: tuple[_Row, ...], members: list[Member]) -> list[str]:
    problems = []
    with path.open("rb") as file:
        for row, described, payload in zip(rows, members[::2], members[1::2], strict=True):
            key = row[0]
            try:
                if described.name != f"{key}.json" or payload.name.partition(".")[0] != key:
                    raise DataError(f"{path}: {key}: its members are named {described.name} and {payload.name}.")
                file.seek(described.offset)
                stored = parse_stored(file.read(described.size), key, payload.size, str(path))
                file.seek(payload.offset)
                data = file.read(payload.size)
                spans = zip(pairwise(stored.offsets or ()), stored.checksums or repeat(None), strict=False)
                for number, ((start, end), kept) in enumerate(spans):
                    jpeg = data[start:end]
                    if jpeg[:2] != b"\xff\xd8" or jpeg[-2:] != b"\xff\xd9":
                        raise DataError(f"{path}: {key}: no JPEG at frame {number}.")
                    with reading(f"{path}: {key}"):
                        jpeg_checksum(jpeg, number, kept)
            except DataError as error:
                problems.append(str(error))
    return problems
