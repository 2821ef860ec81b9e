"""What the report says of the data: how many videos in each split, what was rejected, and what the audit found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bike.evaluate.results import read_table
from bike.records import VideoRecord, read_labels, read_list, read_manifest


@dataclass(frozen=True, slots=True)
class SplitSize:
    """One split's size; ``frames`` counts each sample's pack."""

    name: str
    samples: int
    classes: int
    frames: int


@dataclass(slots=True)
class DataSummary:
    """The data behind the numbers. Empty or None where a file is not there.

    Attributes:
        classes: number of class names, None without ``labels.csv``.
        splits: the list files there are.
        videos, rejected: rows of the manifest and those rejected; None without a manifest.
        hours: length of the accepted videos, None without a manifest.
        audit_columns, audit: the audit's table as it is; None without ``audit.csv``.
    """

    classes: int | None = None
    splits: list[SplitSize] = field(default_factory=list)
    videos: int | None = None
    rejected: list[VideoRecord] | None = None
    hours: float | None = None
    audit_columns: list[str] = field(default_factory=list)
    audit: list[list[str]] | None = None


def summarise_data(lists: Path | None, manifest: Path | None) -> DataSummary:
    """Read a manifest, and from ``lists`` labels.csv, {train,val,test}.csv and audit.csv; each may be absent."""
    summary = DataSummary()
    if manifest is not None and manifest.is_file():
        records = read_manifest(manifest)
        summary.videos = len(records)
        summary.rejected = [record for record in records if record.status != "ok"]
        summary.hours = sum(record.seconds for record in records if record.status == "ok") / 3600
    if lists is None:
        return summary
    if (lists / "labels.csv").is_file():
        summary.classes = len(read_labels(lists / "labels.csv"))
    files = [lists / f"{name}.csv" for name in ("train", "val", "test")]
    summary.splits = [_split_size(path) for path in files if path.is_file()]
    if (lists / "audit.csv").is_file():
        rows = [
            {str(name): str(value) for name, value in row.items()} for _, row in read_table(lists / "audit.csv", ())
        ]
        summary.audit_columns = list(rows[0]) if rows else []
        summary.audit = [[row.get(name, "") for name in summary.audit_columns] for row in rows]
    return summary


def count_reasons(rejected: Sequence[VideoRecord]) -> list[tuple[str, int]]:
    """Reasons with how often each was given, the most frequent first."""
    return sorted(Counter(record.error for record in rejected).items(), key=lambda item: (-item[1], item[0]))


def _split_size(path: Path) -> SplitSize:
    samples = read_list(path)
    classes = {label for sample in samples for label in sample.labels}
    return SplitSize(path.stem, len(samples), len(classes), sum(sample.frames for sample in samples))
