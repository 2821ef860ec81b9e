"""The parts of a sharding: which shards one has, and how a merge takes them as if it wrote them now."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bike.errors import BikeError
from bike.files import open_write, read_json, remove, rename, sha256, sweep, write_json
from bike.files.parts import Parts
from bike.formats.shards import INDEX_NAME, read_shard_manifest
from bike.shard.pool import wait_for_helpers, write_all
from bike.shard.write import WORK, ShardJob, is_whole, size_of, work_file


def unfinished(jobs: Iterable[ShardJob], folder: Path) -> list[ShardJob]:
    """Jobs whose shard is not in ``folder`` yet, or from other input; nothing is changed there."""
    there: dict[str, str] = {}
    with suppress(BikeError):  # none, or a damaged one
        content = read_shard_manifest(folder)
        if sha256(folder / INDEX_NAME) == content["index"]["sha256"]:
            whole = (shard for shard in content["shards"] if size_of(folder / shard["name"]) == shard["bytes"])
            there = {shard["name"]: shard["recipe"] for shard in whole}
    return [job for job in jobs if there.get(job.shard.name) != job.inputs_checksum and not is_whole(job, folder)]


def write_part(mine: list[ShardJob], folder: Path, jobs: int | None, scheduler: str | None) -> int:
    """Write the shards of a part into its folder, but for those that are there; returns how many were written."""
    wait_for_helpers(folder)
    todo = [job for job in mine if not is_whole(job, folder)]
    try:
        write_all(todo, jobs, scheduler)
    finally:
        sweep(folder)
    return len(todo)


def check_parts(parts: Parts, jobs: Iterable[ShardJob]) -> None:
    """Refuse to merge while shards are missing that no part, and no earlier run, wrote from the same input.

    Raises:
        BikeError: it names the parts.
    """
    parts.check(job.shard.name for job in jobs if not is_whole(job, parts.folder_of(job.shard.name)))


def take_shards(parts: Parts, jobs: Iterable[ShardJob]) -> None:
    """Move shards from their parts' folders into the one that their jobs name."""
    for job in jobs:
        name, old, new = job.shard.name, parts.folder_of(job.shard.name), Path(job.folder)
        open_write(new / WORK / f"{name}.lock").close()  # says that the tar is ours
        remove(work_file(new, name))
        remove(new / name)
        # A copy of the note, and first: when this is killed, the tar is in its place or the part still has both.
        write_json(work_file(new, name), read_json(work_file(old, name)))
        rename(old / name, new / name)
