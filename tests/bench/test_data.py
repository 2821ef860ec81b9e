"""``bike bench data``: the plain loader draws what ours draws, and what is measured is written down."""

from __future__ import annotations

import subprocess
import sys
from csv import DictReader
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.shards import jpegs_of, make_data, write_folder
from typer.testing import CliRunner

from bike.bench.clips import ClipSet, make_clips
from bike.bench.data import Scope, targets
from bike.bench.loading import CLIPS, CROPS, INPUT_SIZE, SEGMENTS, PlainFolder, repeat_samples
from bike.bench.process import watched_memory
from bike.bench.results import Measurement, Target, in_turns, target_table, verdicts
from bike.bench.scale import lay_out, planned_shards
from bike.commands.bench import app
from bike.data.loader import evaluation_batches, training_batches
from bike.data.spatial import CLIP_MEAN, CLIP_STD, normalize
from bike.frames.open import ShardSource
from bike.params import Sampling
from bike.records import Sample, write_list
from bike.shard.run import write_shards
from bike.video.decode import decode_frames, probe_video

TINY = Scope(
    large=ClipSet(96, 64, 4, 1, 2),
    small=ClipSet(80, 48, 4, 1, 2),
    rounds=1,
    load_rounds=1,
    load_videos=2,
    train_samples=8,
    test_samples=1,
    scale_rounds={4: 1, 8: 1},
    tracked=4,
    jobs=1,
)
COUNTS = [9, 23, 40]


def frame_numbers(frames: torch.Tensor) -> list[int]:
    """Which frames of :func:`helpers.shards.picture` these normalised (T, 3, S, S) are: green says it."""
    green = (frames[:, 1].mean((1, 2)) * CLIP_STD[1] + CLIP_MEAN[1]) * 255
    return [round(float(value) / 5) for value in green]


@pytest.fixture(scope="module")
def loaders(tmp_path_factory: pytest.TempPathFactory) -> tuple[ShardSource, list[Sample], Path]:
    """The same pictures as shards and as folders of JPEG files."""
    root = tmp_path_factory.mktemp("loaders")
    data = make_data(root, COUNTS)
    write_shards(data.list, data.frames, root / "shards")
    for sample in data.samples:
        write_folder(root / "folders" / sample.video, jpegs_of(data.frames / f"{sample.video}.mjpg"))
    return ShardSource(root / "shards"), data.samples, root / "folders"


@pytest.mark.parametrize("epoch", [0, 3])
def test_plain_loader_draws_what_ours_draws(loaders: tuple[ShardSource, list[Sample], Path], epoch: int) -> None:
    source, samples, folders = loaders
    rows = repeat_samples(samples, 8)
    assert len({row.key for row in rows}) == 8  # each repeated video has a key of its own
    assert [row.video for row in rows[:3]] == [row.video for row in rows[3:6]]
    plain = PlainFolder(folders, rows, seed=5, grayscale=0.0)
    options = {"num_segments": SEGMENTS, "input_size": INPUT_SIZE, "sampling": Sampling(grayscale=0.0)}
    seen = set()
    for batch in training_batches(rows, source, batch_size=4, seed=5, **options).epoch(epoch):
        for row, frames in zip(batch.index.tolist(), normalize(batch.frames), strict=True):
            theirs = plain.training(epoch, row)
            assert theirs.shape == frames[0].shape == (SEGMENTS, 3, INPUT_SIZE, INPUT_SIZE)
            assert theirs.dtype == frames.dtype
            assert frame_numbers(theirs) == frame_numbers(frames[0])
            seen.update(frame_numbers(theirs))
    assert len(seen) > SEGMENTS


def test_plain_evaluation_agrees_with_ours(loaders: tuple[ShardSource, list[Sample], Path]) -> None:
    source, samples, folders = loaders
    plain = PlainFolder(folders, samples)
    batches = evaluation_batches(
        samples, source, num_segments=SEGMENTS, input_size=INPUT_SIZE, clips=CLIPS, crops=CROPS, batch_size=1
    )
    for row, batch in enumerate(batches):
        ours, theirs = normalize(batch.frames)[0].flatten(0, 1), plain.evaluation(row)
        assert ours.shape == theirs.shape
        assert frame_numbers(ours) == frame_numbers(theirs)
        assert (ours - theirs).abs().mean() * 255 * CLIP_STD[1] < 3


def test_clips_are_the_same_each_time_and_move(tmp_path: Path) -> None:
    clips = ClipSet(80, 48, 5, 2, 3)
    first, second = (make_clips(tmp_path / name, clips, jobs=1) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert first[0].read_bytes() == first[2].read_bytes() != first[1].read_bytes()
    facts = probe_video(first[0])
    assert (facts.frames, facts.width, facts.height, facts.fps) == (5, 80, 48, 30.0)
    frames = decode_frames(first[0], range(5)).astype(np.int16)
    assert np.abs(np.diff(frames, axis=0)).mean() > 1
    assert frames.std() > 20


def test_each_takes_its_turn_at_going_first() -> None:
    assert list(in_turns("abc", 2)) == [(0, "a"), (0, "b"), (0, "c"), (1, "b"), (1, "c"), (1, "a")]
    assert [number for number, _ in in_turns("ab", 2, warm_up=True)] == [-1, -1, 0, 0, 1, 1]


def test_medians_are_held_against_what_is_wanted() -> None:
    measured = {("speed", "ours"): (9, 30, 40), ("speed", "theirs"): (10,), ("cost", "many"): (13,)}
    measured |= {("cost", "few"): (10,), ("files", "ours"): (20,)}
    rows = [
        Measurement(measure, variant, number, value, "x")
        for (measure, variant), values in measured.items()
        for number, value in enumerate(values)
    ]
    wanted = [
        Target("a", "speed", "ours", "theirs", 3.0),
        Target("b", "speed", "ours", "theirs", 3.1),
        Target("c", "cost", "many", "few", 1.2, at_most=True),
        Target("d", "files", "ours", "", 20, at_most=True),
        Target("e", "not measured", "ours", "theirs", 1.0),
    ]
    found = verdicts(rows, wanted)
    assert [(verdict.target.what, verdict.kept) for verdict in found] == list(zip("abcd", (1, 0, 0, 1), strict=True))
    lines = target_table(found)
    assert lines[2] == "| a | theirs | 30 : 10 x | **3.00 ×** | ≥ 3 × | ✓ |"
    assert lines[4] == "| c | few | 13 : 10 x | **1.30 ×** | ≤ 1.2 × | ✗ |"
    assert lines[5] == "| d | – | 20 x |  | ≤ 20 | ✓ |"


def test_memory_of_helpers_counts(tmp_path: Path) -> None:
    code = "data = bytearray(b'x') * (64 << 20); input()"
    with watched_memory() as memory:
        before = memory.peak_mib
        helper = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
        while memory.peak_mib < before + 64 and helper.poll() is None:
            memory.done.wait(0.05)
        helper.communicate(b"\n")
    assert memory.peak_mib > before + 64


def test_planned_shards_are_full(tmp_path: Path) -> None:
    for split, count in (("train", 60), ("test", 20)):
        samples = [Sample(f"{split}{number}", f"{split}{number}", "v.mp4", (0,), 8) for number in range(count)]
        write_list(tmp_path / "lists" / f"{split}.csv", samples)
    assert planned_shards(tmp_path, 1_000_000, max_size_mb=100) == 2
    assert 8 <= planned_shards(tmp_path, 1_000_000, max_size_mb=10) <= 20
    assert planned_shards(tmp_path, 1_000_000, max_size_mb=0.5) == 80


def test_tiny_videos_are_laid_out_by_split_and_class(tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    source.write_bytes(b"video")
    lay_out(tmp_path, [source], 12)
    paths = sorted(path.relative_to(tmp_path / "videos") for path in (tmp_path / "videos").rglob("*.mp4"))
    assert len(paths) == 12
    assert sum(path.parts[0] == "test" for path in paths) == 3
    assert {path.parts[1] for path in paths} == {f"class_{number}" for number in range(10)}


def test_command_measures_and_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bike.bench.data.QUICK", TINY)
    csv, page, plot = tmp_path / "data.csv", tmp_path / "data.md", tmp_path / "data.svg"
    options = ["--csv", str(csv), "--page", str(page), "--plot", str(plot)]
    result = CliRunner().invoke(app, ["data", "--quick", *options])
    assert result.exit_code == 0, result.output
    measures = {row["measure"] for row in DictReader(csv.read_text().splitlines())}
    text = page.read_text()
    for target in targets(TINY):
        assert target.measure in measures
        assert f"| {target.what} |" in text
        assert target.what in result.output
    assert "](data.svg)" in text
    assert plot.read_text().startswith("<?xml")
