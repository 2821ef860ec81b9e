"""Extract, annotate and shard with more and more tiny videos: time for each video, memory, and files left for DVC."""

from __future__ import annotations

import shutil
from pathlib import Path

from bike.bench.clips import ClipSet, link, make_clips
from bike.bench.process import STAGES, run_stage
from bike.bench.results import Measurement
from bike.records import VideoRecord, read_list
from bike.shard.plan import PlannedVideo, plan_shards

TINY = ClipSet(64, 48, 16, 4, 4)
NUM_CLASSES = 10
FRAMES_A_VIDEO, BYTES_A_FRAME = 300, 16_000  # 10 s of 340×256 at quality 90
REPEATS = {"extract": 1, "annotate": 5, "shard": 2}  # the fastest counts


def make_tiny_videos(folder: Path) -> list[Path]:
    """Four videos of 16 frames of 64×48."""
    return make_clips(folder, TINY, jobs=1)


def lay_out(root: Path, tiny: list[Path], count: int) -> None:
    """``count`` videos as ``videos/{train,test}/<class>/v<number>.mp4``, every fourth for testing."""
    for number in range(count):
        split = "test" if number % 4 == 3 else "train"
        path = root / "videos" / split / f"class_{number % NUM_CLASSES}" / f"v{number:05d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        link(tiny[number % len(tiny)], path)


def measure_scale(scratch: Path, tiny: list[Path], rounds: dict[int, int], *, jobs: int) -> list[Measurement]:
    """Milliseconds a video, and memory, of each stage at several numbers of tiny videos.

    ``rounds`` says how many times each number is measured; they take turns.
    """
    rows: list[Measurement] = []
    for number in range(max(rounds.values())):
        for count in [count for count, times in rounds.items() if number < times]:
            root = scratch / f"scale_{count}"
            lay_out(root, tiny, count)
            for stage in STAGES:
                seconds, peak_mib = run_stage(stage, root, jobs=jobs, repeats=REPEATS[stage])
                variant = f"{count:,} videos"
                rows.append(Measurement(f"{stage}, a video", variant, number, 1e3 * seconds / count, "ms"))
                rows.append(Measurement(f"{stage}, memory", variant, number, peak_mib, "MiB"))
            shutil.rmtree(root)
    return rows


def tracked_measure(count: int) -> str:
    """What :func:`count_tracked` calls its measure."""
    return f"files for DVC, {count} videos of {FRAMES_A_VIDEO} frames of {BYTES_A_FRAME // 1000} KB"


def count_tracked(scratch: Path, tiny: list[Path], count: int, *, jobs: int) -> list[Measurement]:
    """Files that DVC tracks for ``count`` videos: everything but frame packs; and what frame folders would be."""
    root = scratch / "tracked"
    lay_out(root, tiny, count)
    for stage in STAGES:
        run_stage(stage, root, jobs=jobs)
    lists = sum(path.is_file() for path in (root / "lists").rglob("*"))
    beside = sum(path.is_file() and path.suffix != ".tar" for path in (root / "shards").rglob("*"))
    ours = 1 + lists + beside + planned_shards(root, FRAMES_A_VIDEO * BYTES_A_FRAME)  # 1: the manifest of extraction
    shutil.rmtree(root)
    measure = tracked_measure(count)
    return [
        Measurement(measure, "ours", 0, ours, "files"),
        Measurement(measure, "folders of JPEGs", 0, count * FRAMES_A_VIDEO, "files"),
    ]


def planned_shards(root: Path, bytes_a_video: int, *, max_size_mb: float = 512.0) -> int:
    """How many shards the lists of ``root`` take when each video has ``bytes_a_video``; nothing is written."""
    count = 0
    for split in ("train", "test"):
        samples = read_list(root / "lists" / f"{split}.csv")
        videos = [PlannedVideo(VideoRecord(s.key, s.path, "ok"), (s,), s.key, bytes_a_video, "") for s in samples]
        count += len(plan_shards(videos, int(max_size_mb * 1e6)))
    return count
