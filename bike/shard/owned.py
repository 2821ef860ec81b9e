"""Which shards in a folder are ours, and whether a new run may replace them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bike.errors import BikeError
from bike.files import refuse_finished, size_text
from bike.formats.shards import INDEX_NAME, read_index_rows, read_shard_manifest
from bike.shard.write import WORK

_OWN_TAR = re.compile(r"[0-9a-f]{5}\.tar")


def owned_shards(folder: Path) -> set[str]:
    """Names of the shards that earlier runs wrote here, or were about to write; other tars are somebody's."""
    names = {path.name.removesuffix(".json").removesuffix(".lock") for path in (folder / WORK).glob("*.tar.*")}
    with suppress(BikeError):
        names |= {shard["name"] for shard in read_shard_manifest(folder)["shards"]}
    with suppress(BikeError):  # beside a damaged manifest
        names |= {row[1] for row in read_index_rows(folder / INDEX_NAME)}
    return {name for name in names if _OWN_TAR.fullmatch(name)}


def check_names(folder: Path, names: Iterable[str]) -> None:
    """Refuse to replace a tar that no run of ours wrote."""
    for name in sorted(names):
        if (folder / name).exists():
            raise BikeError(
                f"{folder / name}: is there already, and `bike shard` has no record of having written it. "
                "Move it away, or choose another folder."
            )


def check_finished(folder: Path, keys: set[str], options: dict[str, Any], replace: bool) -> None:
    """Refuse to throw away finished shards of other settings, or of videos that the list lacks."""
    try:
        content = read_shard_manifest(folder)
        lost = sum(row[0] not in keys for row in read_index_rows(folder / INDEX_NAME))
    except BikeError:  # none, unfinished or damaged
        return
    changed = [f"another {name}" for name, value in options.items() if content.get(name) != value]
    if lost:
        changed.append(f"{lost:,} videos that the list lacks")
    if changed:
        there = f"{len(content['shards']):,} shards, {content['videos']:,} videos, {size_text(content['bytes'])}"
        refuse_finished(folder, f"{there}; {', '.join(changed)}", replace)
