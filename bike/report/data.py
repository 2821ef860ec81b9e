"""What the report says of the data: how many videos in each split, what was rejected, and what the audit found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bike.files.tables import read_table
from bike.records import read_labels, read_list, read_manifest

AUDIT_COLUMNS = ("finding", "action", "list", "path", "label", "detail")


@dataclass(slots=True)
class DataSummary:
    """The data behind the numbers. Empty or None where a file is not there."""

    classes: int | None = None  # number of class names, None without `labels.csv`
    # (name, samples, classes, frames) of the list files there are; each sample counts all frames of its pack
    splits: list[tuple[str, int, int, int]] = field(default_factory=list)
    videos: int | None = None  # rows of the manifest, None without one
    rejected: list[tuple[str, str]] | None = None  # (path, reason) of the rejected ones among them
    audit: list[list[str]] | None = None  # rows of `audit.csv` with `AUDIT_COLUMNS`, None without the file


def summarise_data(lists: Path | None, manifest: Path | None) -> DataSummary:
    """Read a manifest, and from ``lists`` labels.csv, {train,val,test}.csv and audit.csv; each may be absent."""
    summary = DataSummary()
    if manifest is not None and manifest.is_file():
        records = read_manifest(manifest)
        summary.videos = len(records)
        summary.rejected = [(record.path, record.error) for record in records if record.status != "ok"]
    if lists is None:
        return summary
    if (lists / "labels.csv").is_file():
        summary.classes = len(read_labels(lists / "labels.csv"))
    for path in (lists / f"{name}.csv" for name in ("train", "val", "test")):
        if path.is_file():
            samples = read_list(path)
            classes = {label for sample in samples for label in sample.labels}
            summary.splits.append((path.stem, len(samples), len(classes), sum(sample.frames for sample in samples)))
    if (lists / "audit.csv").is_file():
        summary.audit = read_table(lists / "audit.csv", AUDIT_COLUMNS).to_numpy().tolist()
    return summary
