"""The data engine measured against plain ways to do the same: one run, in turns, on data made on the spot."""

from __future__ import annotations

import logging
import os
import platform
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bike.bench.clips import ClipSet, make_clips
from bike.bench.extraction import (
    ALL,
    FFMPEG,
    OURS,
    SAMPLED,
    SHORT_SIDE,
    measure_extraction,
    measure_sampling,
    plain_decoder,
    plain_loops,
    sampling_measure,
)
from bike.bench.loading import NORMALIZED, measure_loading
from bike.bench.loading import OURS as SHARDS
from bike.bench.loading import PLAIN as FOLDERS
from bike.bench.process import STAGES
from bike.bench.results import Measurement, Target, Verdict, draw, target_table, verdicts, write_report
from bike.bench.scale import count_tracked, make_tiny_videos, measure_scale, tracked_measure
from bike.extract.run import extract_videos
from bike.params import Extract
from bike.records import Sample, read_manifest
from bike.shard.run import write_shards
from bike.video.picture import scaled_size
from bike.workers.pool import num_cores

log = logging.getLogger("bike")


@dataclass(frozen=True, kw_only=True)
class Scope:
    """How much is measured."""

    large: ClipSet  # of 720p
    small: ClipSet  # of 340×256
    rounds: int = 3  # of extraction
    load_rounds: int = 5
    load_videos: int = 6  # of each kind
    train_samples: int = 48  # in a round of loading, as are the next
    test_samples: int = 8
    scale_rounds: dict[int, int] = field(default_factory=lambda: {100: 3, 1000: 2, 10000: 1})  # tiny videos -> rounds
    tracked: int = 480  # videos whose files for DVC are counted
    jobs: int = 2


FULL = Scope(large=ClipSet(1280, 720, 200, 4, 18), small=ClipSet(340, 256, 300, 6, 72))
QUICK = Scope(
    large=ClipSet(1280, 720, 30, 2, 4),
    small=ClipSet(340, 256, 60, 2, 8),
    rounds=1,
    load_rounds=1,
    load_videos=2,
    train_samples=16,
    test_samples=4,
    scale_rounds={50: 1, 200: 1},
    tracked=48,
)


def bench_data(scope: Scope, *, csv_path: Path, page: Path, plot: Path) -> list[Verdict]:
    """Measure extraction, loading, memory, cost for each video and files for DVC.

    Videos are rendered into a temporary folder, which is removed at the end. Whatever is compared takes turns. The CSV
    gets all measurements, the page's section ``bench-data`` the tables, ``plot`` the figure as SVG.

    Returns:
        The promises, each with its numbers.

    Raises:
        BikeError: no ffmpeg, no room, or a system without /proc.
    """
    begin = time.perf_counter()
    rows: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="bike-bench-") as name:
        scratch = Path(name)
        for clips, short_side in ((scope.large, 320), (scope.small, 256)):
            log.info("bench data: rendering %d videos of %s", clips.distinct, clips.name)
            paths = make_clips(scratch / f"clips_{short_side}", clips, jobs=scope.jobs)
            log.info("bench data: extracting %d frames of %s, %d rounds", clips.total_frames, clips.name, scope.rounds)
            rows += measure_extraction(paths, clips, scratch / "frames", rounds=scope.rounds, jobs=scope.jobs)
            log.info("bench data: loading, short side %d (%.0f s so far)", short_side, time.perf_counter() - begin)
            if clips is scope.small:
                rows += measure_sampling(paths, clips, scratch / "frames", rounds=scope.rounds, jobs=scope.jobs)
            rows += _load(paths[: scope.load_videos], short_side, scratch / f"load_{short_side}", scope)
        tiny = make_tiny_videos(scratch / "tiny")
        log.info("bench data: %s videos (%.0f s so far)", list(scope.scale_rounds), time.perf_counter() - begin)
        rows += measure_scale(scratch, tiny, scope.scale_rounds, jobs=scope.jobs)
        rows += count_tracked(scratch, tiny, scope.tracked, jobs=scope.jobs)
    log.info("bench data: %.0f s", time.perf_counter() - begin)
    found = verdicts(rows, targets(scope))
    picture = Path(os.path.relpath(plot, page.parent)).as_posix()
    lines = [
        f"{scope.jobs} jobs on {num_cores()} cores, Python {platform.python_version()}; medians of {scope.rounds} "
        f"(loading: {scope.load_rounds}) rounds in turns; the decoder loops use {plain_decoder()}. Loading: one "
        "thread, 8 frames a clip, 224 px, files in the system's cache. ✓ and ✗ say whether the wanted ratio was "
        "reached.",
        "",
        *target_table(found),
        "",
        f"![Data engine: speeds against the wanted ones]({picture})",
    ]
    write_report(csv_path, page, "bench-data", rows, lines)
    draw(plot, found)
    return found


def _load(paths: list[Path], short_side: int, scratch: Path, scope: Scope) -> list[Measurement]:
    """Make shards and frame folders of the same JPEGs, and load from both."""
    listing = scratch / "videos.txt"
    scratch.mkdir()
    listing.write_text("".join(f"{path.name}\n" for path in paths))
    options = Extract(short_side=short_side)
    for layout in ("packs", "folders"):
        extract_videos(paths[0].parent, scratch / layout, listing=listing, options=options, layout=layout, strict=True)
    records = read_manifest(scratch / "packs/manifest.csv")
    write_shards(scratch / "packs/manifest.csv", scratch / "packs", scratch / "shards", jobs=1)
    samples = [Sample(record.key, record.key, record.path, (0,), record.frames) for record in records]
    kind, counts = f"{records[0].width}×{records[0].height}", (scope.train_samples, scope.test_samples)
    places = scratch / "shards", scratch / "folders"
    return measure_loading(*places, samples, kind=kind, counts=counts, rounds=scope.load_rounds)


def targets(scope: Scope) -> list[Target]:
    """What the data engine promises."""
    found = []
    for clips, wanted in ((scope.large, 1.2), (scope.small, 1.8)):
        measure = f"extraction, {clips.name} → {SHORT_SIDE}"
        found.append(Target(measure, measure, OURS, FFMPEG, wanted))
        found.extend(Target(measure, measure, OURS, loop, 1.5) for loop in plain_loops())
    sampled = sampling_measure(scope.small)
    found.append(Target(sampled, sampled, SAMPLED, ALL, 2.0))
    found.append(Target(f"{sampled}, bytes", f"{sampled}, bytes", SAMPLED, ALL, 0.1, at_most=True))
    for clips, short_side, wanted in ((scope.large, 320, 5.0), (scope.small, 256, 3.5)):
        shape = "×".join(map(str, scaled_size(clips.width, clips.height, None, short_side)))
        measure = f"training, {shape}"
        found.append(Target(f"training, frames of {shape}", measure, SHARDS, FOLDERS, wanted))
        found.append(Target(f"training, frames of {shape}, normalised", measure, NORMALIZED, FOLDERS, wanted))
        found.append(Target(f"4×3 evaluation, frames of {shape}", f"4×3 evaluation, {shape}", SHARDS, FOLDERS, 3.0))
    few, *more = (f"{count:,} videos" for count in sorted(scope.scale_rounds))
    for stage in STAGES:
        for many in more:
            found.append(Target(f"{stage}, time a video, {many}", f"{stage}, a video", many, few, 1.2, at_most=True))
    for stage in ("extract", "shard"):
        found.append(Target(f"{stage}, memory, {more[-1]}", f"{stage}, memory", more[-1], few, 1.2, at_most=True))
    measure = tracked_measure(scope.tracked)
    found.append(Target(measure, measure, "ours", "", 20, at_most=True))
    return found
