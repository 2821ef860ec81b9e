"""Entries and videos to samples: apply the policies, note every finding."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bike.annotate.audit import Audit
from bike.annotate.classes import ClassTable, derive_classes
from bike.annotate.entries import SPLITS, Annotations, Entry
from bike.annotate.matching import Matches, match_entries
from bike.annotate.media import Media
from bike.files.names import leads_out, video_keys
from bike.records import Sample, VideoRecord, instance_range, moved_inside

Lists = dict[str, dict[str, list[Sample]]]  # fold -> split -> samples
Times = tuple[float | None, float | None]
WHOLE: Times = (None, None)


def make_table(annotations: Annotations, audit: Audit) -> ClassTable:
    """The class table; where the policy keeps labels that have no name, they are added to it."""
    if annotations.classes is not None:
        table = ClassTable(annotations.classes)
    else:
        table = derive_classes(_all_labels(annotations))
    if audit.policies.no_name == "keep":
        unknown = [label for label in set(_all_labels(annotations)) if table.find(label)[1] == "no_name"]
        for label in sorted(unknown, key=lambda label: (isinstance(label, str), label)):
            name = table.names[table.add(label)]
            audit.add("no_name", "", "", str(label), f"named {name!r}")
    return table


def fill_names(table: ClassTable, audit: Audit) -> None:
    """Give ids between others a stand-in name, so that ids run without a gap; each is a finding."""
    for index in table.fill_gaps():
        audit.add("no_name", "", "", str(index), f"an id between others; named {table.names[index]!r}")


def _all_labels(annotations: Annotations) -> Iterator[str | int]:
    return (label for fold in annotations.folds.values() for entry in fold for label in entry.labels)


def build_lists(annotations: Annotations, media: Media, table: ClassTable, audit: Audit) -> tuple[Lists, list[Sample]]:
    """Samples of each fold and split in official order; and those without labels that the policy keeps."""
    every = (entry for fold in annotations.folds.values() for entry in fold)
    matches = match_entries(every, media.records, by_name=annotations.by_name, fold_names=annotations.fold_names)
    builder = _Builder(annotations, media, table, audit, matches)
    lists = {fold: builder.build(fold, entries) for fold, entries in annotations.folds.items()}
    if builder.other_counts:
        audit.notes.append(
            f"{len(builder.other_counts)} videos have another number of frames than the annotation says."
        )
    builder.add_unannotated(matches.used())  # over all folds: a video may be in one and not in another
    return lists, list(builder.unannotated.values())


@dataclass(slots=True)
class _Builder:
    """Builds lists; collects what belongs to no list."""

    annotations: Annotations
    media: Media
    table: ClassTable
    audit: Audit
    matches: Matches
    unannotated: dict[str, Sample] = field(default_factory=dict)
    other_counts: set[str] = field(default_factory=set)
    plain_labels: dict[tuple[str | int, ...], tuple[int, ...]] = field(default_factory=dict)  # labels without findings

    def build(self, fold: str, entries: Sequence[Entry]) -> dict[str, list[Sample]]:
        """The lists of one fold."""
        lists: dict[str, list[Sample]] = {split: [] for split in SPLITS}
        places = {split: f"{fold}/{split}" if fold else split for split in SPLITS}
        known = self.media.records
        # Looked up once for the fold: there are hundreds of thousands of entries, most of them without a finding.
        missing = self._stand_ins(entries)
        index_of = self.matches.index
        odd = self.matches.spelling.keys() | self.matches.others.keys()
        fewest = self.audit.policies.min_frames
        seen: dict[object, tuple[str, tuple[int, ...]]] = {}
        numbers: dict[str, int] = defaultdict(int)
        keys: set[str] = set()
        for entry in entries:
            if not entry.split:  # annotated, but in no list: its video is not a finding
                continue
            path, place = entry.path, places[entry.split]
            index = index_of.get(path)
            record = missing[path] if index is None else known[index]
            labels = self._labels(entry, place)
            plain = record.status == "ok" and record.frames >= fewest and path not in odd
            plain = plain and entry.frames in (0, record.frames)
            if (not plain and not self._check_video(entry, record, place)) or labels is None:
                continue
            times = WHOLE
            if entry.start_seconds is not None:
                numbers[record.key] += 1  # before times are checked: a dropped part renames no other
                inside = self._times(entry, record, place)
                if inside is None:
                    continue
                times = inside
            if not labels and entry.split == "train":
                if self.audit.add("unannotated", place, path, "", "no label"):
                    self.unannotated[record.key] = Sample(record.key, record.key, record.path, (), record.frames)
                continue
            # Times as annotated, not as moved: two parts that end past the video's end are still two.
            identity: object = record.path
            if times is not WHOLE:
                identity = (record.path, entry.start_seconds, entry.end_seconds, labels)
            if identity in seen:
                detail = self._first(seen[identity], place, labels)
                if not self.audit.add("duplicate", place, path, self._names(labels), detail):
                    continue
                numbers[record.key] += times is WHOLE
            else:
                seen[identity] = place, labels
            key = record.key
            if times is not WHOLE or key in keys:
                key = f"{key}-{numbers[key]}"
            while key in keys:  # `a-1.mp4` has the key that the first part of `a.mp4` would get
                key += "-x"
            keys.add(key)
            lists[entry.split].append(Sample(key, record.key, record.path, labels, record.frames, *times))
        return lists

    def add_unannotated(self, used: set[int]) -> None:
        """Note the videos that no entry means; rejected ones can't be kept."""
        for index, record in enumerate(self.media.records):
            if index not in used:
                usable = record.status == "ok"
                detail = "" if usable else f"rejected: {record.error}"
                if self.audit.add("unannotated", "", record.path, "", detail, force=None if usable else "drop"):
                    self.unannotated[record.key] = Sample(record.key, record.key, record.path, (), record.frames)

    def _stand_ins(self, entries: Sequence[Entry]) -> dict[str, VideoRecord]:
        """Annotated path -> a record that stands for the missing video."""
        missing = {entry.path: entry.frames for entry in entries if entry.path not in self.matches.index}
        keys = video_keys(list(missing))
        return {
            path: VideoRecord(key, path, "missing", frames)
            for key, (path, frames) in zip(keys, missing.items(), strict=True)
        }

    def _labels(self, entry: Entry, place: str) -> tuple[int, ...] | None:
        """Class ids; None when a policy drops the entry. One bad label of several goes alone."""
        if entry.labels in self.plain_labels:
            return self.plain_labels[entry.labels]
        ids: list[int] = []
        plain = True
        for label in entry.labels:
            index, finding = self.table.find(label)
            if finding:
                plain = False
                detail = f"taken for {self.table.names[index]!r}" if index >= 0 else self._no_name()
                if not self.audit.add(finding, place, entry.path, str(label), detail):
                    continue
            if index not in ids:
                ids.append(index)
        result = tuple(ids) if ids or not entry.labels else None
        if plain and result is not None:
            self.plain_labels[entry.labels] = result
        return result

    def _check_video(self, entry: Entry, record: VideoRecord, place: str) -> bool:
        """Whether the policies keep an entry with this video."""
        path = entry.path
        if path not in self.matches.index:
            if leads_out(path):
                return self._add(
                    "missing", entry, place, "the path leaves the media folder" if path else "no path", force=True
                )
            return self.media.kind == "none" or self._add("missing", entry, place)
        keep = True
        if path in self.matches.spelling:
            keep = self._add("spelling", entry, place, f"the file is {self.matches.spelling[path]}")
        for other in self.matches.others.get(path, ()):
            detail = f"fits {record.path} (taken) and {self.media.records[other].path}"
            keep = self._add("duplicate", entry, place, detail) and keep
        if record.status != "ok":
            return self._add("rejected", entry, place, record.error) and keep
        if self.media.kind == "videos":
            return keep
        if entry.frames and entry.frames != record.frames:
            self.other_counts.add(path)
        if entry.start_seconds is None and record.frames < self.audit.policies.min_frames:
            keep = self._add("too_short", entry, place, f"{record.frames} frames") and keep
        return keep

    def _times(self, entry: Entry, record: VideoRecord, place: str) -> Times | None:
        """Start and end moved into the video; None when a policy drops the entry."""
        start, end = entry.start_seconds or 0.0, math.inf if entry.end_seconds is None else entry.end_seconds
        fps = record.fps or self.annotations.fps or (record.frames / entry.seconds if entry.seconds > 0 else 0.0)
        length = record.frames / fps if fps and record.frames else entry.seconds or math.inf
        # Annotated times are rounded: what ends less than a frame past the end is not a finding.
        slack = 1 / fps if fps else 0.04
        if start < 0 or (end > length + slack and end < math.inf) or end <= start or start >= length:
            detail = f"{start:g} to {end:g} s of {length:.2f} s"
            if not self._add("past_end", entry, place, detail):
                return None
        start, end = moved_inside(start, end, length)
        if fps and record.frames:
            frames = len(instance_range(record.frames, fps, start, end))
            if frames < self.audit.policies.min_frames:
                detail = f"{frames} frames from {start:g} to {end:g} s"
                if not self._add("too_short", entry, place, detail):
                    return None
        return start, None if end == math.inf else end

    def _add(self, kind: str, entry: Entry, place: str, detail: str = "", *, force: bool = False) -> bool:
        labels = [str(label) for label in entry.labels]
        return self.audit.add(kind, place, entry.path, "; ".join(labels), detail, force="drop" if force else None)

    def _no_name(self) -> str:
        if any(self.table.names):
            return f"there are {len(self.table.names)} classes"
        return "there are no class names; give a name column or a file of names"

    def _names(self, labels: Sequence[int]) -> str:
        return "; ".join(self.table.names[label] for label in labels)

    def _first(self, first: tuple[str, tuple[int, ...]], place: str, labels: tuple[int, ...]) -> str:
        parts = [f"also in {first[0]}"] if first[0] != place else []
        if first[1] != labels:
            parts.append(f"also labelled {self._names(first[1])}")
        return ", ".join(parts) or "listed again"
