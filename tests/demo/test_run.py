"""The generated data set: equal bytes, balanced classes, pairs that are each other's time reversal, broken files."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import tarfile
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from bike.commands.demo_data import demo_data
from bike.demo.clips import FLAG_SIZE, FLOWN_SHARE, LASTS, LIKED_SHARE, draw_clip, render_clip, render_frame
from bike.demo.objects import BYSTANDERS, COLOURS, DRAW, PATTERNS, Item, draw_items
from bike.demo.run import BROKEN, _map, clip_generator, make_demo_data, make_file, plan_clips
from bike.demo.scenes import CLASS_NAMES, CLASS_SLUGS, PAIRS, draw_flag
from bike.errors import BikeError
from bike.params import DemoData

SMALL = DemoData(train_per_class=1, val_per_class=1, test_per_class=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    make_demo_data(folder, SMALL, jobs=1)
    return folder


def read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "annotations.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def decode(data: bytes) -> list[av.VideoFrame]:
    with av.open(io.BytesIO(data)) as container:
        return list(container.decode(video=0))


def test_equal_parameters_give_equal_bytes_whatever_the_number_of_processes(made: Path, tmp_path: Path) -> None:
    summary = make_demo_data(tmp_path, SMALL, jobs=2)
    assert summary.videos == 3 * len(CLASS_NAMES)
    assert summary.broken == len(BROKEN)
    for name in ("videos.tar", "annotations.csv"):
        assert (tmp_path / name).read_bytes() == (made / name).read_bytes()


def test_clips_change_with_the_seed_and_not_with_their_number() -> None:
    few, many = (plan_clips(DemoData(train_per_class=number, broken=False)) for number in (2, 5))
    plans = [draw_clip(clip_generator(0, clip), clip.label) for clip in (few[0], many[0])]
    assert plans[0].shape == plans[1].shape
    assert make_file(few[0], seed=0) != make_file(few[0], seed=1)


def test_the_tar_holds_what_the_annotations_name_in_plain_order(made: Path) -> None:
    rows = read_rows(made)
    with tarfile.open(made / "videos.tar") as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    assert all((member.mtime, member.uid, member.gid) == (0, 0, 0) for member in members)
    assert (made / "videos.tar").read_bytes()[257:263] == b"ustar\0"


def test_classes_and_splits_are_balanced_and_named() -> None:
    clips = plan_clips(DemoData(train_per_class=5, val_per_class=2, test_per_class=3, broken=False))
    counts = Counter((clip.label, clip.split) for clip in clips)
    assert counts == {
        (label, split): number
        for label in range(len(CLASS_NAMES))
        for split, number in (("train", 5), ("val", 2), ("test", 3))
    }
    assert not any(clip.damage for clip in clips)
    assert len({clip.path for clip in clips}) == len(clips)
    assert len(set(CLASS_NAMES)) == len(set(CLASS_SLUGS)) == len(CLASS_NAMES) == 2 * len(PAIRS) == 14
    assert all(name.replace(" ", "").isalpha() and name == name.lower() for name in CLASS_NAMES)
    assert {(clip.path.split("/")[0], clip.label) for clip in clips} == {
        (slug, label) for label, slug in enumerate(CLASS_SLUGS)
    }


def test_videos_are_h264_with_b_frames_of_different_sizes_rates_and_lengths() -> None:
    plans = [draw_clip(np.random.default_rng([5, index]), index % 14) for index in range(160)]
    assert {plan.fps for plan in plans} == {24, 25, 30}
    assert len({(plan.width_px, plan.height_px) for plan in plans}) >= 6
    seconds = [plan.num_frames / plan.fps for plan in plans]
    assert 1.15 <= min(seconds) < 1.3
    assert 2.5 < max(seconds) <= 3.05
    assert min(plan.num_frames for plan in plans) >= 28

    clip = plan_clips(DemoData(broken=False))[0]
    plan = draw_clip(clip_generator(0, clip), clip.label)
    data = make_file(clip, seed=0)
    assert b"Lavf" not in data
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == plan.fps
        assert (stream.width, stream.height) == (plan.width_px, plan.height_px)
        assert stream.codec_context.has_b_frames
        found = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert np.abs(np.subtract(list(render_clip(plan)), found, dtype=float)).mean() < 8


@pytest.mark.parametrize("pair", range(len(PAIRS)))
def test_classes_of_a_pair_are_each_others_time_reversal(pair: int) -> None:
    plan = draw_clip(np.random.default_rng([3, pair]), 2 * pair)
    back = dataclasses.replace(plan, backwards=True, num_frames=plan.num_frames)
    forwards, backwards = list(render_clip(plan)), list(render_clip(back))
    assert all(np.array_equal(a, b) for a, b in zip(forwards, reversed(backwards), strict=True))
    assert not np.array_equal(forwards[0], backwards[0]) or all(plan.cut)


@pytest.mark.parametrize("pair", range(len(PAIRS)))
def test_nothing_but_favourites_and_order_depends_on_the_direction(pair: int) -> None:
    for seed in range(40):
        up, down = (draw_clip(np.random.default_rng([9, seed]), 2 * pair + side) for side in (0, 1))
        if up.shape.colour not in PAIRS[pair].liked and up.flag not in PAIRS[pair].flown:
            assert dataclasses.replace(up, scenes=(), backwards=True) == dataclasses.replace(down, scenes=())


def test_colour_and_flag_say_something_but_not_everything() -> None:
    for label in range(len(CLASS_NAMES)):
        plans = [draw_clip(np.random.default_rng([1, label, n]), label) for n in range(60)]
        pair, side = PAIRS[label // 2], label % 2
        for values, liked, kinds, share in (
            ([plan.shape.colour for plan in plans], pair.liked, len(COLOURS), LIKED_SHARE),
            ([plan.flag for plan in plans], pair.flown, len(PATTERNS), FLOWN_SHARE),
        ):
            count = Counter(values)
            assert abs(count[liked[side]] / 60 - share - (1 - share) / kinds) < 0.2
            assert count.most_common(1)[0][0] == liked[side]
            assert len(count) > kinds / 2
            assert liked[0] != liked[1]


def test_flags_are_told_apart_by_64_pixels_and_one_grey_for_32() -> None:
    """What the stronger CLIP sees of a flag in a clip, the small one does not."""
    pictures = []
    for pattern in PATTERNS:
        picture = Image.new("RGB", (192, 192), (128, 128, 128))
        draw_items(picture, [draw_flag(pattern, 0.5, 0.5, FLAG_SIZE)])
        pictures.append(picture.reduce(2))

    def contrast(side_px: int) -> float:
        cloths = [np.asarray(p.resize((side_px, side_px), Image.Resampling.BICUBIC), float) for p in pictures]
        edge = slice(round(0.43 * side_px), round(0.52 * side_px))  # well inside the cloth
        return min(float(cloth[edge, edge].std()) for cloth in cloths)

    assert contrast(64) > 3 * contrast(32)


def test_the_action_is_anywhere_in_a_wide_frame_and_whole() -> None:
    plans = [draw_clip(np.random.default_rng([8, index]), index % 14) for index in range(200)]
    wide = [plan for plan in plans if plan.width_px > 2 * plan.height_px]
    outside = [abs(plan.middle - 0.5) * plan.width_px > plan.height_px / 2 for plan in wide]
    assert 0.3 < np.mean(outside) < 0.8  # the middle of the action lies outside the centre crop
    for plan in plans:
        half = min(plan.height_px, plan.width_px) / plan.width_px / 2
        assert half <= plan.middle + 1e-9
        assert plan.middle <= 1 - half + 1e-9


def test_the_action_fills_only_a_part_of_the_clip_and_the_background_moves() -> None:
    plans = [draw_clip(np.random.default_rng([2, index]), index % 14) for index in range(100)]
    for plan in plans:
        assert 0 <= plan.start < plan.end <= 1
        assert LASTS[0] <= plan.end - plan.start <= LASTS[1]
    plan = next(plan for plan in plans if plan.cut[0] and plan.start > 0.1)
    shown = [render_frame(plan, moment).mean(axis=(0, 1)) for moment in (0.0, plan.start - 0.01, plan.start + 0.01)]
    assert np.abs(shown[0] - shown[1]).max() < np.abs(shown[1] - shown[2]).max()
    plan = draw_clip(np.random.default_rng(4), 0)
    first, last = render_frame(plan, 0.0), render_frame(plan, 1.0)
    assert np.abs(first.astype(int) - last).mean() > 2


@pytest.mark.parametrize("kind", DRAW)
def test_every_thing_can_be_seen(kind: str) -> None:
    picture = Image.new("RGB", (64, 64), (128, 128, 128))
    draw_items(picture, [Item(kind, (250, 0, 0), 0.5, 0.5, 0.5, 0.5)])
    changed = (np.asarray(picture) != 128).any(axis=2)
    assert 0.02 < changed.mean() < 0.6
    if kind not in (*BYSTANDERS, "flag"):
        assert (np.asarray(picture) == (250, 0, 0)).all(axis=2).any()


def test_broken_files_are_annotated_and_cannot_be_decoded_as_videos(made: Path) -> None:
    broken = {clip.path: clip.damage for clip in plan_clips(SMALL) if clip.damage}
    assert set(broken.values()) == set(BROKEN)
    assert broken.keys() <= {row["path"] for row in read_rows(made)}
    assert {row["split"] for row in read_rows(made) if row["path"] in broken} == {"train", "val", "test"}
    with tarfile.open(made / "videos.tar") as tar:
        for path, damage in broken.items():
            member = tar.extractfile(path)
            assert member is not None
            data = member.read()
            if damage == "picture":
                assert len(decode(data)) == 1
                continue
            with pytest.raises(av.error.FFmpegError):
                decode(data)


def test_the_command_writes_a_small_set_or_names_a_bad_value(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(demo_data)
    found = CliRunner().invoke(app, [str(tmp_path / "x"), "--train-per-class", "0"])
    assert found.exit_code == 1
    assert "demo_data.train_per_class" in str(found.exception)
    assert not (tmp_path / "x").exists()
    sizes = ["--train-per-class", "1", "--val-per-class", "1", "--test-per-class", "1"]
    found = CliRunner().invoke(app, [str(tmp_path), *sizes, "--no-broken", "--seed", "3", "--jobs", "1"])
    assert found.exit_code == 0, found.output
    assert "42 videos of 14 classes and 0 broken files" in found.output
    assert len(read_rows(tmp_path)) == 42


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BikeError, match="can't be written"):
        make_demo_data(tmp_path / "file" / "x", SMALL, jobs=1)


def test_a_helper_that_is_killed_is_one_line() -> None:
    with pytest.raises(BikeError, match="A helper process ended too early"):
        list(_map(os._exit, list(range(8)), 2))  # type: ignore[arg-type]
