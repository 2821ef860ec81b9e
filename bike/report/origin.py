"""Where figures come from: checksums that are the same for everyone, and on request what differs between machines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bike.errors import BikeError, one_line
from bike.evaluate.results import LAST
from bike.evaluate.scores import SCORES_NAME
from bike.files import existing_file, read_json, sha256
from bike.provenance import provenance_path
from bike.report.rows import Row

RECORD = ".bike-results.json"  # what an evaluation notes beside its files, so that DVC keeps it with them
WEIGHTS = ("model", "checkpoint")
FINGERPRINTS = ("What", "SHA-256", "Read by")
ORIGINS = ("Evaluation", "Commit", "dvc.lock", "Weights", "Processor", "Finished (UTC)")


def fingerprints(row: Row) -> dict[str, str]:
    """SHA-256 of what an evaluation read, by name: model or checkpoint, list, labels, frames …; maybe none."""
    found = _read(row.folder / RECORD if row.folder else None).get("settings")
    items = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in items if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)}


def evaluation_of(checkpoint: Path, rows: Sequence[Row]) -> Row | None:
    """The evaluation with scores that used a checkpoint, by its bytes, in the last views; None where there is none."""
    digest = sha256(existing_file(checkpoint))
    found = [row for row in rows if row.folder and digest in map(fingerprints(row).get, WEIGHTS)]
    return next((row for row in reversed(found) if row.folder and (row.folder / SCORES_NAME).is_file()), None)


def fingerprint_table(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """The cells below :data:`FINGERPRINTS`: each distinct one once, with the evaluations that read it."""
    found = [(item, row.place) for row in rows for item in fingerprints(row).items()]
    readers = {item: [place for other, place in found if other == item] for item, _ in found}
    measured = sum(bool(fingerprints(row)) for row in rows)
    return [
        (name, value, "all" if len(places) == measured > 1 else ", ".join(places))
        for (name, value), places in readers.items()
    ]


def origin_table(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The cells below :data:`ORIGINS`: what the files beside the results say of the runs that made these results."""
    lines = []
    for row, folder in ((row, row.folder) for row in rows if row.folder):
        path = provenance_path(folder)
        found = _read(path)
        if found.get(LAST) != sha256(folder / LAST):  # of other results, which were here before
            found = {}
        weights = found.get("weights")
        cells = [weights.get("sha256") if isinstance(weights, dict) else None, found.get("device")]
        # The run writes this file last, and nothing after it does.
        cells.append(datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M") if found else None)
        cells = [found.get("commit"), found.get("dvc.lock"), *cells]
        lines.append((row.place, *("unknown" if cell is None else one_line(cell) for cell in cells)))
    return lines


def flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """``section.key`` and value for every parameter."""
    found = []
    for name, value in tree.items():
        if isinstance(value, dict):
            found += flat(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, "none" if value is None else str(value)))
    return found


def _read(path: Path | None) -> dict[str, Any]:
    """A JSON object; empty where there is none, since a figure stands without its origin."""
    found: Any = None
    if path is not None and path.is_file():
        with suppress(BikeError):
            found = read_json(path)
    return found if isinstance(found, dict) else {}
