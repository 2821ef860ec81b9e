"""Whose frames lie in the destination of an extraction, and whether they may be thrown away."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bike.errors import BikeError
from bike.extract.journal import JOURNAL_NAME, noted_keys, read_journal
from bike.extract.output import output_there
from bike.extract.task import Recipe, Result, recipe_text
from bike.files import refuse_finished, size_text
from bike.records import read_manifest
from bike.video.file import FoundVideo


def check_known(destination: Path, results: Iterable[Result], recipe: Recipe, replace: bool) -> None:
    """Refuse to throw away frames that were made with another recipe, unless ``replace`` says so."""
    now = recipe_text(recipe)
    others = [result for result in results if result.recipe != now and result.record.status == "ok"]
    others = [other for other in others if output_there(destination, other.record.key)]
    if others:
        sizes = Counter(json.loads(other.recipe).get("short_side_px") for other in others)
        frames = f"{len(others):,} videos' frames of {sizes.most_common(1)[0][0]} px"
        total = size_text(sum(other.record.bytes for other in others))
        refuse_finished(destination, f"{frames}, {total}; other options", replace)


def check_rows(manifest: Path, videos: Iterable[FoundVideo], replace: bool) -> None:
    """Refuse to throw away the rows of a finished extraction: of videos that are not there now, or all, changed."""
    stamps = {video.path: None if video.problem else video.stamp for video in videos}
    known = read_journal(manifest.parent)
    done = [known[path] for path in _accepted(manifest) if path in known]
    lost = sum(result.record.path not in stamps for result in done)
    changed = sum(stamps.get(result.record.path) not in (None, result.stamp) for result in done)
    if lost or (done and changed == len(done)):
        what = f"{lost:,} not among the videos now" if lost else "all videos are others now"
        total = size_text(sum(result.record.bytes for result in done))
        refuse_finished(manifest.parent, f"{len(done):,} videos' frames, {total}; {what}", replace)


def _accepted(manifest: Path) -> dict[str, str]:
    """Keys by path of the videos that a manifest accepts; none without one."""
    with suppress(BikeError):
        return {record.path: record.key for record in read_manifest(manifest) if record.status == "ok"}
    return {}


def check_unknown(destination: Path, keys: Iterable[str], replace: bool, manifest: str) -> None:
    """Refuse to replace frames that no run noted: they are somebody else's, unless the manifest lists them."""
    ours = noted_keys(destination)
    there = [(key, path) for key in keys if key not in ours and (path := output_there(destination, key)) is not None]
    listed = set(_accepted(destination / manifest).values()) if there else set()  # of a copy without the journal, say
    if strangers := [path for key, path in there if key not in listed]:
        raise BikeError(
            f"{strangers[0]}: is there already, and `bike extract` has no record of having written it. "
            "Move it away, or choose another folder."
        )
    if there:
        refuse_finished(destination, f"{len(there):,} videos' frames without their journal", replace)


def check_manifest(path: Path, *read: Path | str | None) -> None:
    """Refuse to replace a ``manifest.csv`` that is read here, or that no extraction wrote."""
    if not path.is_file():
        return
    if any(place is not None and os.path.realpath(place) == os.path.realpath(path) for place in read):
        raise BikeError(f"{path}: is read here, and would be replaced. Choose another folder for the frames.")
    if not (path.parent / JOURNAL_NAME).is_file():  # beside our journal it is ours, however damaged
        try:
            read_manifest(path)
        except BikeError:
            raise BikeError(
                f"{path}: was not written by `bike extract`. Choose another folder for the frames."
            ) from None
