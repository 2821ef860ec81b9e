"""Videos that look alike, within a list and across lists: another encoding of the same, under another name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bike.annotate.audit import Audit
from bike.annotate.media import Media
from bike.progress import progress
from bike.records import Sample

# Videos that look like one before them, that one (the first), and how many pairs there are between which splits.
Alike = tuple[list[int], list[int], dict[tuple[str, str], int]]

_ORDER = ("test", "val", "train")  # where one of two videos is dropped, lists that are scored stay whole
_ALIKE = (3, 20)  # at most this share of the bits set in either hash may differ
_LEAST_BITS = 32  # fewer bits of two different videos agree by chance
_HASH = re.compile(r"[0124-689a]{64}", re.ASCII)  # no wave is both positive and negative
_ROWS, _COLUMNS = 128, 4096  # compared at once: what the processor's cache holds


class _Video(NamedTuple):
    """A video of a fold: where it is, the test list first, and its first sample there."""

    split: str
    sample: Sample


def find_near_duplicates(
    lists: Mapping[str, dict[str, list[Sample]]], media: Media, names: Sequence[str], audit: Audit
) -> None:
    """Note videos that look like one before them, test lists first, by the picture hashes of the manifest.

    With the policy ``drop`` all samples of such a video leave the lists of that fold. Videos without a picture hash, or
    too plain for one to say anything, are ``not_compared``. Only a manifest has picture hashes.

    Args:
        lists: fold -> split -> samples; changed in place.
        media: what is there.
        names: class names.
        audit: takes the findings, and a note for each fold with the numbers of pairs.
    """
    if media.kind != "packs":
        return
    hashes = {record.key: record.picture_hash for record in media.records if record.status == "ok"}
    absent: set[str] = set()
    plain: dict[str, str] = {}
    for fold, splits in lists.items():
        videos: dict[str, _Video] = {}
        for split in _ORDER:
            for sample in splits.get(split, ()):
                if sample.video in hashes:
                    videos.setdefault(sample.video, _Video(split, sample))
        known = [key for key in videos if _HASH.fullmatch(hashes[key])]
        absent |= videos.keys() - set(known)
        words = np.frombuffer(bytes.fromhex("".join([hashes[key] for key in known])), np.uint64).reshape(-1, 4)
        bits = np.bitwise_count(words).sum(1)
        for place in np.flatnonzero(bits < _LEAST_BITS).tolist():
            plain[videos[known[place]].sample.path] = f"too plain: {bits[place]} of 256 bits are set"
        enough = np.flatnonzero(bits >= _LEAST_BITS)
        compared = [videos[known[place]] for place in enough.tolist()]
        dropped: set[str] = set()
        pairs = Counter[tuple[str, str]]()
        for later, earlier, counts in _alike(words[enough], [video.split for video in compared]):
            pairs.update(counts)
            for one, other in zip(later, earlier, strict=True):
                if not _note(audit, fold, compared[one], compared[other], names):
                    dropped.add(compared[one].sample.video)
        for split, samples in splits.items():
            splits[split] = [sample for sample in samples if sample.video not in dropped]
        if pairs:
            text = ", ".join(f"{count} {_between(*key)}" for key, count in sorted(pairs.items()))
            audit.notes.append(f"{fold}{fold and ': '}pairs of videos that look alike: {text}.")
    for path, detail in plain.items():
        audit.add("not_compared", "", path, "", detail)
    if absent:
        detail = f"{len(absent)} videos have no picture hash in the manifest; an extraction into a new folder adds them"
        audit.add("not_compared", "", "", "", detail)


def _note(audit: Audit, fold: str, video: _Video, like: _Video, names: Sequence[str]) -> bool:
    place, other_place = (f"{fold}/{each.split}" if fold else each.split for each in (video, like))
    label, other_label = ("; ".join(names[label] for label in each.sample.labels) for each in (video, like))
    detail = f"looks like {like.sample.path} in {other_place}"
    if other_label != label:
        detail += f", labelled {other_label}"
    return audit.add("near_duplicate", place, video.sample.path, label, detail)


def _between(one: str, other: str) -> str:
    return f"within {one}" if one == other else f"between {one} and {other}"


def _alike(words: NDArray[np.uint64], splits: Sequence[str]) -> Iterator[Alike]:
    """What agrees among the picture hashes (N, 4) of N videos in these splits, block by block."""
    numbers = {split: number for number, split in enumerate(_ORDER)}
    kinds = np.array([numbers[split] for split in splits], np.intp)
    millions = len(words) ** 2 // 2_000_000
    shown = progress("annotate: compare", millions, unit="million pairs") if millions else nullcontext()
    with ThreadPoolExecutor() as pool, shown as job:  # numpy lets go of the interpreter
        for start, block in enumerate(pool.map(partial(_alike_block, words, kinds), range(0, len(words), _ROWS))):
            yield block
            if job:
                stop = min((start + 1) * _ROWS, len(words))
                job.advance(stop**2 // 2_000_000 - job.done)


def _alike_block(words: NDArray[np.uint64], kinds: NDArray[np.intp], start: int) -> Alike:
    share, of = _ALIKE
    stop = min(start + _ROWS, len(words))
    # The slowest waves first: they leave one pair of hundreds or thousands to look at in full.
    slow = np.ascontiguousarray(words[:stop, 0])
    slow_bits, bits = np.bitwise_count(slow), np.bitwise_count(words[:stop]).sum(1)
    first = np.full(stop, stop)
    counts = np.zeros(len(_ORDER) ** 2, np.intp)
    for column in range(0, stop, _COLUMNS):
        some = slice(column, column + _COLUMNS)
        differ = np.bitwise_count(slow[start:, None] ^ slow[some])
        limit = (slow_bits[start:, None] + slow_bits[some]) * np.uint8(share) // np.uint8(of)
        later, earlier = np.divmod(np.flatnonzero(differ <= limit), differ.shape[1])  # much quicker than nonzero
        later, earlier = later + start, earlier + column
        kept = earlier < later
        later, earlier = later[kept], earlier[kept]
        differ_all = np.bitwise_count(words[later] ^ words[earlier]).sum(1)
        kept = of * differ_all <= share * (bits[later] + bits[earlier])
        later, earlier = later[kept], earlier[kept]
        np.minimum.at(first, later, earlier)
        counts += np.bincount(kinds[earlier] * len(_ORDER) + kinds[later], minlength=len(counts))
    rows = np.flatnonzero(first < stop)
    named = {
        (_ORDER[place // len(_ORDER)], _ORDER[place % len(_ORDER)]): int(counts[place])
        for place in np.flatnonzero(counts)
    }
    return rows.tolist(), first[rows].tolist(), named
