"""The pieces of extraction: rates, quality, outputs, notes, the pool."""

from __future__ import annotations

import json
import math
import operator
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from bike.errors import BikeError, DataError
from bike.extract.journal import (
    JOURNAL_NAME,
    Entry,
    fingerprint,
    locked,
    make_entry,
    open_journal,
    read_journal,
    rewrite_journal,
)
from bike.extract.output import open_output, output_exists, remove_leftovers, remove_output
from bike.extract.rate import RateChanger
from bike.extract.task import Recipe, Task, jpeg_quality, rejected
from bike.extract.task import Result as ExtractResult
from bike.files import existing_file
from bike.formats.packs import scan_offsets, split_stream
from bike.records import VideoRecord
from bike.video.file import VideoFile
from bike.workers.pool import describe_failure, run_tasks
from bike.workers.worker import DiedError, TimedOutError


def resample(times: list[float | None], fps: float, frame_seconds: float) -> list[int]:
    rate: RateChanger[int] = RateChanger(fps, frame_seconds)
    out: list[int] = []
    for number, moment in enumerate(times):
        for item, copies in rate.push(number, moment):
            out += [item] * copies
    for item, copies in rate.finish():
        out += [item] * copies
    return out


def test_a_rate_can_be_halved_doubled_and_kept() -> None:
    times = [number / 10 for number in range(6)]
    assert resample(list(times), 10, 0.1) == [0, 1, 2, 3, 4, 5]
    assert resample(list(times), 5, 0.1) == [0, 2, 4]
    assert resample(list(times), 20, 0.1) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert resample([time + 7.5 for time in times], 10, 0.1) == [0, 1, 2, 3, 4, 5]


def test_a_gap_is_filled_with_what_was_shown() -> None:
    assert resample([0.0, 0.1, 0.5], 10, 0.1) == [0, 1, 1, 1, 1, 2]


def test_missing_and_backward_and_absurd_times() -> None:
    assert resample([0.0, None, None], 10, 0.1) == [0, 1, 2]
    assert resample([0.0, 0.2, 0.1, 0.4], 10, 0.1) == [0, 0, 1, 2, 3]
    assert resample([0.0, 0.1, 1e9, 1e9 + 0.1], 10, 0.1) == [0, 1, 2, 3]
    assert resample([None], 0.001, 0.04) == [0]
    assert resample([], 10, 0.1) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.001, 2), min_size=1, max_size=40), st.floats(0.5, 60))
def test_resampled_length_is_the_duration(gaps: list[float], fps: float) -> None:
    times = np.cumsum([0.0, *gaps]).tolist()
    out = resample(times, fps, 0.05)
    assert out == sorted(out)
    assert len(out) == pytest.approx((times[-1] + 0.05) * fps, abs=1)


def test_quality_maps_as_the_tables_scale() -> None:
    values = [jpeg_quality(q) for q in range(1, 32)]
    assert values[1] == 90
    assert values[4] == 75
    assert values == sorted(values, reverse=True)
    assert all(1 <= value <= 100 for value in values)


def jpeg(number: int) -> bytes:
    data: bytes = simplejpeg.encode_jpeg(np.full((16, 16, 3), number, np.uint8))
    return data


@pytest.mark.parametrize("layout", ["packs", "folders"])
def test_outputs_appear_whole_or_not_at_all(tmp_path: Path, layout: str) -> None:
    with open_output(tmp_path, "k", layout) as output:  # type: ignore[arg-type]
        for number in range(5):
            output.add(jpeg(number))
        assert not (tmp_path / "k.mjpg").exists()
        assert not (tmp_path / "k").exists()
        output.keep_first(3)
        output.keep_first(9)
        output.add(jpeg(9))
    assert output.num_frames == 4
    assert output_exists(tmp_path, "k", layout, 4, output.num_bytes)  # type: ignore[arg-type]
    assert not output_exists(tmp_path, "k", layout, 5, output.num_bytes + 1)  # type: ignore[arg-type]
    expected = [jpeg(0), jpeg(1), jpeg(2), jpeg(9)]
    if layout == "packs":
        assert (tmp_path / "k.mjpg").read_bytes() == b"".join(expected)
    else:
        files = sorted((tmp_path / "k").iterdir())
        assert [path.name for path in files] == [f"img_{number:05d}.jpg" for number in range(1, 5)]
        assert [path.read_bytes() for path in files] == expected
    assert output.num_bytes == sum(map(len, expected))
    with pytest.raises(RuntimeError), open_output(tmp_path, "k", layout) as output:  # type: ignore[arg-type]
        output.add(jpeg(7))
        raise RuntimeError
    assert output_exists(tmp_path, "k", layout, 4, sum(map(len, expected)))  # type: ignore[arg-type]
    with open_output(tmp_path, "k", layout) as output:  # type: ignore[arg-type]
        output.add(jpeg(1))
    assert output_exists(tmp_path, "k", layout, 1, len(jpeg(1)))  # type: ignore[arg-type]
    assert not (tmp_path / "k" / "img_00002.jpg").exists()
    remove_output(tmp_path, "k")
    assert list(tmp_path.iterdir()) == []


def test_other_peoples_files_stay(tmp_path: Path) -> None:
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "notes.txt").write_text("mine")
    (tmp_path / "k" / "img_00001.jpg").write_bytes(b"x")
    remove_output(tmp_path, "k")
    assert [path.name for path in (tmp_path / "k").iterdir()] == ["notes.txt"]


def test_leftovers_of_a_kill_go(tmp_path: Path) -> None:
    (tmp_path / ".bike-abc.part").write_bytes(b"half a pack")
    (tmp_path / ".bike-dir.part").mkdir()
    (tmp_path / ".bike-dir.part" / "img_00001.jpg").write_bytes(b"x")
    (tmp_path / "keep.mjpg").write_bytes(b"x")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["keep.mjpg"]


@pytest.mark.parametrize("block", [1, 7, 1000, 10**6])
def test_a_stream_splits_at_any_block_size(block: int) -> None:
    parts = [jpeg(number) for number in range(5)]
    data = b"".join(parts)
    blocks = [data[start : start + block] for start in range(0, len(data), block)]
    assert list(split_stream(blocks)) == parts
    assert len(scan_offsets(data)) == 6
    with pytest.raises(DataError, match="cut off"):
        list(split_stream([data[:-1]]))


def task(tmp_path: Path, recipe: Recipe) -> Task:
    return Task("k", "k.mp4", VideoFile("k.mp4"), str(tmp_path), recipe)


def test_what_settles_a_video(tmp_path: Path) -> None:
    recipe = Recipe()
    (tmp_path / "k.mjpg").write_bytes(b"12345")
    good = ExtractResult(VideoRecord("k", "k.mp4", "ok", 2, 10.0, 16, 16, 0.2, 5))
    entry = make_entry((1, 2), good, recipe)
    assert entry.settles(task(tmp_path, recipe), (1, 2), 60)
    assert entry.settles(task(tmp_path, Recipe(keep_partial=True)), (1, 2), 60)
    assert not entry.settles(task(tmp_path, recipe), (1, 3), 60)
    for other in (Recipe(quality=3), Recipe(short_side_px=128), Recipe(fps=5.0), Recipe(backend="ffmpeg")):
        assert not entry.settles(task(tmp_path, other), (1, 2), 60)
    (tmp_path / "k.mjpg").write_bytes(b"1234")
    assert not entry.settles(task(tmp_path, recipe), (1, 2), 60)
    part = make_entry((1, 2), rejected("k", "k.mp4", "truncated", partial=True), recipe)
    assert part.settles(task(tmp_path, Recipe(quality=9)), (1, 2), 60)
    assert not part.settles(task(tmp_path, Recipe(keep_partial=True)), (1, 2), 60)
    slow = make_entry((1, 2), rejected("k", "k.mp4", "timed out", limit_seconds=60), recipe)
    assert slow.settles(task(tmp_path, recipe), (1, 2), 60)
    assert slow.settles(task(tmp_path, recipe), (1, 2), 30)
    assert not slow.settles(task(tmp_path, recipe), (1, 2), 61)


NAMES = ["a.mp4", "caf\udce9 \n\x1b.mp4", "日本.mp4"]


def entries() -> list[Entry]:
    return [make_entry((1,), rejected("k", name, f"reason {name}"), Recipe()) for name in NAMES]


def test_notes_survive_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    assert read_journal(tmp_path) == {}
    with open_journal(tmp_path) as journal:
        for entry in entries():
            journal.add(entry)
    path = tmp_path / JOURNAL_NAME
    whole = path.read_bytes()
    assert read_journal(tmp_path) == dict(zip(NAMES, entries(), strict=True))
    for end in range(0, len(whole), 61):
        path.write_bytes(whole[:end])
        assert list(read_journal(tmp_path)) == NAMES[: whole[:end].count(b"\n")] or whole[end : end + 1] == b"\n"
    path.write_bytes(whole[:-5])
    with open_journal(tmp_path) as journal:
        journal.add(entries()[2])
    assert list(read_journal(tmp_path)) == NAMES


def test_rubbish_among_the_notes_is_passed_over(tmp_path: Path) -> None:
    good = entries()[0]
    with open_journal(tmp_path) as journal:
        journal.add(good)
    lines = (tmp_path / JOURNAL_NAME).read_text()
    rubbish = ["{}", "[]", "null", '{"record": {"key": 1}}', "\x00\xff", json.dumps({"record": "x"})]
    (tmp_path / JOURNAL_NAME).write_text("\n".join(rubbish) + "\n" + lines)
    assert list(read_journal(tmp_path)) == [NAMES[0]]
    rewrite_journal(tmp_path, [good])
    assert (tmp_path / JOURNAL_NAME).read_text().count("\n") == 1
    assert "keep_partial" not in json.loads(fingerprint(Recipe()))


def test_one_extraction_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(BikeError, match="another extraction"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_the_pool_lives_on() -> None:
    """A task that hangs and one that kills its process cost only themselves."""
    tasks = [partial(math.factorial, number) for number in range(8)]
    hang, die, bad = partial(time.sleep, 600), partial(os.abort), partial(int, "x")
    tasks[2:2] = [hang]
    tasks[5:5] = [die, bad]
    outcomes = {id(outcome.task): outcome for outcome in run_tasks(operator.call, tasks, jobs=2, timeout_seconds=2)}
    assert len(outcomes) == len(tasks)
    values = [outcomes[id(task)].value for task in tasks if task not in (hang, die, bad)]
    assert values == [math.factorial(number) for number in range(8)]
    errors = [outcomes[id(task)].error for task in (hang, die, bad)]
    assert [type(error) for error in errors] == [TimedOutError, DiedError, ValueError]
    reasons = [describe_failure(error, 2) for error in errors if error is not None]
    assert reasons[:2] == ["timed out after 2 s", "the decoder crashed (signal 6, SIGABRT)"]
    assert reasons[2].startswith("unexpected ValueError: invalid literal")


def test_the_pool_takes_tasks_as_it_goes() -> None:
    taken = 0

    def tasks() -> Iterator[partial[int]]:
        nonlocal taken
        for number in range(50):
            taken += 1
            yield partial(math.factorial, number)

    for done, _ in enumerate(run_tasks(operator.call, tasks(), jobs=2, timeout_seconds=60)):
        assert taken <= done + 3


def test_the_pool_stops_at_what_concerns_every_task(tmp_path: Path) -> None:
    tasks = [partial(existing_file, str(tmp_path / "none")), *(partial(time.sleep, 600) for _ in range(5))]
    with pytest.raises(BikeError, match="no such file"):
        list(run_tasks(operator.call, tasks, jobs=2, timeout_seconds=600))


@pytest.mark.parametrize("limit", [1e9, math.inf])
def test_the_pool_takes_any_limit(limit: float) -> None:
    assert [outcome.value for outcome in run_tasks(operator.neg, [3], jobs=1, timeout_seconds=limit)] == [-3]
