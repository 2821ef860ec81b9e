"""Published-style lists: their two layouts, their quirks, and reading back what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.annotations import Desk, found, manifest, write_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bike.annotate.writing import write_published
from bike.errors import DataError
from bike.formats.lists import read_rows
from bike.records import Sample, read_manifest

QUIRKS = """\
abseiling//-3B32lodo2M_000059_000069 60 0
abseiling/--xyz 60 0
#2_Gum_chew!&;(1)[x] 60 1

  /data/k400/zumba/a b  c 60 1
zumba/5 7 60 1\r
"""


@pytest.mark.parametrize(
    ("text", "layout", "expected"),
    [
        (
            QUIRKS,
            "auto",
            [
                ("abseiling/-3B32lodo2M_000059_000069", 60, (0,)),
                ("abseiling/--xyz", 60, (0,)),
                ("#2_Gum_chew!&;(1)[x]", 60, (1,)),
                ("data/k400/zumba/a b  c", 60, (1,)),
                ("zumba/5 7", 60, (1,)),
            ],
        ),
        (
            "run/a b.mp4 0\n-x.webm 1\nrun/take 2 5.avi 1\n",
            "auto",
            [("run/a b.mp4", 0, (0,)), ("-x.webm", 0, (1,)), ("run/take 2 5.avi", 0, (1,))],
        ),
        ("run/3 7 1\n", "auto", [("run/3", 7, (1,))]),
        ("run/3 7 1\n", "videos", [("run/3 7", 0, (1,))]),
        ("a 8 3,7,12\nb 8 -1\n", "auto", [("a", 8, (3, 7, 12)), ("b", 8, ())]),
    ],
)
def test_the_quirks_of_published_lists(
    tmp_path: Path, text: str, layout: Any, expected: list[tuple[str, int, tuple[int, ...]]]
) -> None:
    samples = read_rows(write_text(tmp_path / "val.txt", text), layout)
    assert [(s.path, s.frames, s.labels) for s in samples] == expected


def test_published_lists_meet_the_videos(desk: Desk, tmp_path: Path) -> None:
    write_text(tmp_path / "lists" / "kinetics_val.txt", QUIRKS)
    write_text(tmp_path / "lists" / "kinetics_labels.csv", "id,name\n0,abseiling\n1,zumba\n")
    videos = ["abseiling/-3B32lodo2M_000059_000069.mp4", "abseiling/--xyz.mp4"]
    videos += ["#2_Gum_chew!&;(1)[x].avi", "zumba/a b  c.mp4", "zumba/5 7.mp4"]
    audit = desk.annotate("published", tmp_path / "lists", videos)
    assert found(audit) == []
    assert audit.notes == [
        "kinetics_val.txt: names that end in a number: 1, such as 'zumba/5 7'. "
        "Where that is a label, give --layout labels."
    ]
    assert desk.paths("val") == videos
    assert desk.labels() == ["abseiling", "zumba"]
    assert desk.text("val.txt").splitlines()[2:4] == ["#2_Gum_chew!&;(1)[x] 60 1", "zumba/a b  c 60 1"]
    desk.annotate("published", tmp_path / "lists")
    assert desk.text("val.txt").splitlines()[0] == "abseiling/-3B32lodo2M_000059_000069 60 0"  # the list's own count


@pytest.mark.parametrize("template", ["img_{:05d}.jpg", "image_{:06d}.jpg", "image_{:04d}.jpg", "{video}-{:06d}.jpg"])
def test_frame_folders_under_all_four_names(desk: Desk, tmp_path: Path, template: str) -> None:
    for video, frames in (("-a b", 9), ("#c;d&e", 12)):
        for number in range(1, frames + 1):
            write_text(tmp_path / "frames" / "run" / video / template.format(number, video=video), "x")
    write_text(tmp_path / "train.txt", "run//-a b 9 0\nrun//#c;d&e 30 0\n")
    write_text(tmp_path / "labels.csv", "id,name\n0,run\n")
    audit = desk.annotate("published", tmp_path / "train.txt", tmp_path / "frames")
    assert [(s.path, s.frames) for s in desk.samples()] == [("run/-a b", 9), ("run/#c;d&e", 12)]
    assert audit.notes == ["1 videos have another number of frames than the annotation says."]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        *(
            (text, "line [12]")
            for text in ("a 8 x\n", "a 8 -2\n", "a b c\n", "8 1\n1\n", "a 8 1,\n", "a 8 99999999999\n")
        ),
        # One odd line does not turn frames into names.
        ("tree 68 0\nh265 10 1\nzz 1\nother 82 2\n", "`<dir> <frames> <label>` is needed: line 3"),
    ],
)
def test_lines_that_can_t_be_read(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=rf"a\.txt: .*{said}"):
        read_rows(write_text(tmp_path / "a.txt", text))


def test_two_lists_for_one_split(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    for name in ("train_split1.txt", "train_split2.txt"):
        write_text(tmp_path / name, "a 8 0\n")
    for folder, said in ((tmp_path, "a second train list"), (tmp_path / "x", "no .txt list")):
        with pytest.raises(DataError, match=said):
            desk.annotate("published", folder)


PARTS = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8).filter(
    lambda part: part not in (".", "..")
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.lists(PARTS, min_size=1, max_size=3).map("/".join), st.integers(1, 9999), st.integers(0, 400)),
        min_size=1,
        max_size=6,
        unique_by=lambda row: row[0],
    )
)
def test_what_is_written_is_read_back(tmp_path: Path, rows: list[tuple[str, int, int]]) -> None:
    """Any name; those that a line can't hold (line breaks, blanks at an end) are replaced by their key."""
    samples = [Sample(f"k{n}", f"k{n}", path, (label,), frames) for n, (path, frames, label) in enumerate(rows)]
    write_published(tmp_path / "a.txt", samples)
    again = read_rows(tmp_path / "a.txt", "frames")
    assert [(s.frames, s.labels) for s in again] == [(s.frames, s.labels) for s in samples]
    for before, after in zip(samples, again, strict=True):
        assert after.path in (before.path, before.path.rpartition(".")[0], before.key)
        if before.path.replace("/", "").isalnum():
            assert after.path == before.path


def test_the_golden_evaluation_s_list(golden: Path, desk: Desk) -> None:
    folder = golden / "eval"
    audit = desk.annotate("published", folder / "list.txt", folder / "frames", default_split="test")
    assert audit.lists == {"test": 6}
    assert desk.text("test.txt") == (folder / "list.txt").read_text()
    assert desk.labels()[6] == "climb stairs"


def test_the_same_videos_from_our_csv_and_from_the_published_form(desk: Desk, tmp_path: Path) -> None:
    media = manifest(tmp_path / "m.csv", ["a/x.mp4", "b/y.mp4"])
    desk.csv([("path", "label", "name"), ("a/x.mp4", 0, "run"), ("b/y.mp4", 1, "jump")], media)
    again = Desk(tmp_path / "again")
    again.annotate("published", desk.out, media)
    for name in ("train.csv", "train.txt", "labels.csv"):
        assert desk.text(name) == again.text(name)


@pytest.mark.parametrize("layout", ["packs", "folders"])
def test_lists_made_here_are_read_back(desk: Desk, tmp_path: Path, layout: str) -> None:
    """Where a path can't stand in a line, or the frames lie in folders named by key, the line says the key."""
    videos = ["run/a.mp4", "run/ b.mp4", "run/c\nd.mp4", "run/e .mp4", "run/f\\g.mp4"]
    media = manifest(tmp_path / "frames" / "manifest.csv", videos)
    keys = [record.key for record in read_manifest(media)]
    for key in keys if layout == "folders" else []:
        (tmp_path / "frames" / key).mkdir()
    desk.csv([("path", "name", "label"), *((video, "run", 0) for video in videos)], media)
    names = [line.rsplit(" ", 2)[0] for line in desk.text("train.txt").splitlines()]
    assert names == (keys if layout == "folders" else ["run/a", "run/ b", *keys[2:]])
    again = Desk(tmp_path / "again")
    audit = again.annotate("published", desk.out / "train.txt", media, labels=desk.out / "labels.csv")
    assert found(audit) == []
    assert again.samples() == desk.samples()
