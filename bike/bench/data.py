"""The data engine measured against plain ways to do the same: one run, in turns, on data made on the spot."""

from __future__ import annotations

import logging
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bike.bench.clips import ClipSet, make_clips
from bike.bench.extraction import FFMPEG, OURS, measure_extraction, measure_parts, plain_decoder, plain_loops
from bike.bench.process import STAGES
from bike.bench.results import (
    Measurement,
    Target,
    draw,
    limit_table,
    target_table,
    value_table,
    verdicts,
    write_rows,
    write_section,
)
from bike.bench.scale import BYTES_A_FRAME, FRAMES_A_VIDEO, count_tracked, make_tiny_videos, measure_scale
from bike.extract.run import extract_videos
from bike.params import Extract
from bike.records import Sample, read_manifest
from bike.shard.run import write_shards
from bike.workers.pool import num_cores

log = logging.getLogger("bike")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """How much is measured.

    Attributes:
        large, small: videos of 720p, and of 340×256.
        rounds, load_rounds: of extraction and of loading.
        load_videos: of each kind, for the loader.
        train_samples, test_samples: in a round of loading.
        scale_rounds: number of tiny videos -> rounds.
        tracked: videos whose files for DVC are counted.
        jobs: processes.
    """

    large: ClipSet = field(default_factory=lambda: ClipSet(1280, 720, 200, 4, 18))
    small: ClipSet = field(default_factory=lambda: ClipSet(340, 256, 300, 6, 72))
    rounds: int = 3
    load_rounds: int = 5
    load_videos: int = 6
    train_samples: int = 48
    test_samples: int = 8
    scale_rounds: dict[int, int] = field(default_factory=lambda: {100: 3, 1000: 2, 10000: 1})
    tracked: int = 480
    jobs: int = 2


QUICK = Workload(
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


def bench_data(
    work: Workload,
    *,
    csv_path: Path | str | None = None,
    page: Path | str | None = None,
    plot: Path | str | None = None,
) -> list[Measurement]:
    """Measure extraction, loading, memory, cost for each video and files for DVC.

    Videos are rendered into a temporary folder, which is removed at the end. Whatever is compared takes turns.

    Args:
        work: how much is measured.
        csv_path: all measurements, if wanted.
        page: Markdown page whose section ``bench-data`` gets the tables, if wanted.
        plot: SVG file for the figure, if wanted.

    Raises:
        BikeError: no ffmpeg, no room, or a system without /proc.
    """
    begin = time.perf_counter()
    rows: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="bike-bench-") as name:
        scratch = Path(name)
        for title, kind, clips in (("large", 320, work.large), ("small", 256, work.small)):
            log.info("bench data: rendering %d videos of %s", clips.distinct, clips.name)
            paths = make_clips(scratch / title, clips, jobs=work.jobs)
            log.info("bench data: extracting %d frames of %s, %d rounds", clips.total_frames, clips.name, work.rounds)
            rows += measure_extraction(paths, clips, scratch / "frames", rounds=work.rounds, jobs=work.jobs)
            rows += measure_parts(paths, clips, scratch / "steps", jobs=work.jobs, rounds=work.rounds)
            log.info("bench data: loading, short side %d (%.0f s so far)", kind, time.perf_counter() - begin)
            rows += _load(paths[: work.load_videos], kind, scratch / f"load_{kind}", work)
        tiny = make_tiny_videos(scratch / "tiny")
        log.info("bench data: %s videos (%.0f s so far)", list(work.scale_rounds), time.perf_counter() - begin)
        rows += measure_scale(scratch, tiny, work.scale_rounds, jobs=work.jobs)
        rows += count_tracked(scratch, tiny, work.tracked, jobs=work.jobs)
    log.info("bench data: %.0f s", time.perf_counter() - begin)
    if csv_path is not None:
        write_rows(csv_path, rows)
    if plot is not None:
        draw(plot, rows, verdicts(rows, targets(work)))
    if page is not None:
        picture = None if plot is None else Path(os.path.relpath(plot, Path(page).parent)).as_posix()
        write_section(page, "bench-data", describe_results(rows, work, picture))
    return rows


def _load(paths: list[Path], short_side: int, scratch: Path, work: Workload) -> list[Measurement]:
    """Make shards and frame folders of the same JPEGs, and load from both."""
    from bike.bench.loading import measure_loading

    listing = scratch / "videos.txt"
    scratch.mkdir()
    listing.write_text("".join(f"{path.name}\n" for path in paths))
    options = Extract(short_side=short_side)
    for layout in ("packs", "folders"):
        extract_videos(paths[0].parent, scratch / layout, listing=listing, options=options, layout=layout, strict=True)
    records = read_manifest(scratch / "packs/manifest.csv")
    write_shards(scratch / "packs/manifest.csv", scratch / "packs", scratch / "shards", jobs=1)
    samples = [Sample(record.key, record.key, record.path, (0,), record.frames) for record in records]
    return measure_loading(
        scratch / "shards",
        scratch / "folders",
        samples,
        kind=f"{records[0].width}×{records[0].height}",
        num_train=work.train_samples,
        num_test=work.test_samples,
        rounds=work.load_rounds,
    )


def targets(work: Workload) -> list[Target]:
    """What the data engine promises."""
    from bike.bench.loading import NORMALIZED
    from bike.bench.loading import OURS as SHARDS
    from bike.bench.loading import PLAIN as FOLDERS

    found = []
    sizes = ((work.large, 1.2), (work.small, 1.8))
    for clips, wanted in sizes:
        measure = f"extraction, {clips.name} → 256"
        found.append(Target(measure, measure, OURS, FFMPEG, wanted))
        found.extend(Target(measure, measure, OURS, loop, 1.5) for loop in plain_loops())
    for shape, wanted in ((_loaded(work.large, 320), 5.0), (_loaded(work.small, 256), 3.5)):
        measure = f"training, {shape}"
        found.append(Target(f"training, frames of {shape}", measure, SHARDS, FOLDERS, wanted))
        found.append(Target(f"training, frames of {shape}, normalised", measure, NORMALIZED, FOLDERS, wanted))
        found.append(Target(f"4×3 evaluation, frames of {shape}", f"4×3 evaluation, {shape}", SHARDS, FOLDERS, 3.0))
    few, *more = (f"{count:,} videos" for count in sorted(work.scale_rounds))
    for stage in STAGES:
        for many in more:
            found.append(Target(f"{stage}, time a video, {many}", f"{stage}, a video", many, few, 1.2, most=True))
    for stage in ("extract", "shard"):
        found.append(Target(f"{stage}, memory, {more[-1]}", f"{stage}, memory", more[-1], few, 1.2, most=True))
    size = f"{FRAMES_A_VIDEO} frames of {BYTES_A_FRAME // 1000} KB"
    measure = f"files for DVC, {work.tracked} videos of {size}"
    found.append(Target(measure, measure, "ours", "", 20, most=True))
    return found


def _loaded(clips: ClipSet, short_side: int) -> str:
    from bike.video.picture import scaled_size

    width, height = scaled_size(clips.width, clips.height, None, short_side)
    return f"{width}×{height}"


def describe_results(rows: Sequence[Measurement], work: Workload, picture: str | None = None) -> list[str]:
    """The section of the page: what ran where, the promises, and every other median."""
    return [
        f"{work.jobs} jobs on {num_cores()} cores, Python {platform.python_version()}; medians of {work.rounds} "
        f"(loading: {work.load_rounds}) rounds in turns; the decoder loops use {plain_decoder()}. Loading: one thread, "
        "8 frames a clip, 224 px, files in the system's cache. ✓ and ✗ say whether the wanted ratio was reached.",
        "",
        *target_table(verdicts(rows, targets(work))),
        "",
        *([f"![Data engine: speeds, steps, cost for each video]({picture})", ""] if picture else []),
        f"How far from the limit ({work.jobs} processes for extraction, one thread for loading):",
        "",
        *limit_table(rows, work.jobs),
        "",
        *value_table(rows, ("size of", "steps of", "extract,", "annotate,", "shard,", "files")),
    ]
