"""Inputs that once failed, under the commands that were given with them; the right value of each."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bike.cli import build_app, guarded
from bike.records import instance_range, read_labels, read_list, read_manifest

Lists = dict[str, list[tuple[str, ...]]]


@pytest.fixture
def case(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A copy of the case whose number the test has as a parameter; the commands run in it."""
    found = sorted((shared / "cases").glob(f"{request.param:02d}-*"))
    if not found:
        pytest.skip("shared/cases is not there")
    monkeypatch.chdir(shutil.copytree(found[0], tmp_path / "case"))


def bike(words: str) -> int:
    return guarded(lambda: build_app()(words.split(), standalone_mode=False))


def annotated(words: str) -> Lists:
    """List -> path and class names of each sample, after ``bike annotate WORDS --out LISTS``."""
    assert bike(f"annotate {words} --out LISTS") == 0
    names = read_labels("LISTS/labels.csv", "published")
    return {
        str(path.relative_to("LISTS").with_suffix("")): [
            (sample.path, *(names[label] for label in sample.labels)) for sample in read_list(path)
        ]
        for path in sorted(Path("LISTS").rglob("t*.csv"))
    }


CLASSES = ["lipstick", "archery", "band", "bench", "biking", "billiards"]
CLASSES += ["blow", "bowling", "boxing", "clean", "cliff", "cricket"]
OTHERS = [("jump/a.mp4", "jump"), ("jump/b.qt", "jump"), ("run/c.f4v", "run"), ("run/d.mpe", "run")]
HMDB = {
    f"split{split}/{part}": [(f"{name}/{name}{number}.avi", name) for name in ("jump", "run")]
    for split in (1, 2, 3)
    for part, number in (("train", 1), ("test", 2))
}
SPLITS = {part: [(f"{name}/{part}/{name}{part}.mp4", name) for name in ("jump", "run")] for part in ("train", "test")}
SEVERAL = [("d1", "b", "d", "f"), ("d2", "b", "c"), ("d3", "c")]


@pytest.mark.parametrize(
    ("case", "words", "expected"),
    [
        (11, "folders --source videos", {"train": OTHERS}),
        (11, "folders --source videos --media videos", {"train": OTHERS}),
        (13, "csv --source list.csv", {"train": [(f"v{label}.mp4", name) for label, name in enumerate(CLASSES)]}),
        (15, "published --source train.txt --labels labels.csv --media frames --layout labels", {"train": SEVERAL}),
        (16, "csv --source list.csv --media videos", {"train": [("jump/a.mp4", "jump"), ("run/b.mp4", "run")]}),
        (17, "hmdb51 --source hmdb", HMDB),
        (17, "sthv2 --source sthv2", {"train": [("1", "Pushing something")]}),
        (17, "published --source lists", {"train": [("a.mp4", "x")]}),
        (17, "csv --source csv", {"train": [("a.mp4", "x")]}),
        (19, "folders --source videos", SPLITS),
    ],
    indirect=["case"],
)
@pytest.mark.usefixtures("case")
def test_what_a_case_gives(words: str, expected: Lists) -> None:
    assert annotated(words) == expected


@pytest.mark.parametrize(
    ("case", "words", "said"),
    [
        (
            15,
            "published --source train.txt --labels labels.csv",
            "more than two numbers at the end: line 1; line 2. Give",
        ),
        (
            15,
            "published --source offset_train.txt --labels labels.csv --media frames",
            "more than two numbers at the end",
        ),
        (20, "csv --source list.csv", "list.csv: class ids start at 1. Give --first-id 1, or number them from 0."),
    ],
    indirect=["case"],
)
@pytest.mark.usefixtures("case")
def test_what_a_case_is_refused_for(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bike(f"annotate {words} --out LISTS") == 1
    assert said in capsys.readouterr().err
    assert not Path("LISTS").exists()


@pytest.mark.parametrize("case", [1], indirect=True)
@pytest.mark.usefixtures("case")
def test_parts_of_a_video_whose_clock_restarts() -> None:
    assert bike("extract . OUT") == 0
    (record,) = read_manifest("OUT/manifest.csv")
    assert (record.frames, record.fps, record.seconds) == (225, 25.0, 9.0)
    lists = annotated("csv --source clips.csv --media OUT/manifest.csv")
    assert lists == {"train": [("title.vob", "jump"), ("title.vob", "run"), ("title.vob", "sit")]}
    parts = [instance_range(225, 25.0, s.start_seconds, s.end_seconds) for s in read_list("LISTS/train.csv")]
    assert parts == [range(75), range(75, 150), range(150, 225)]


@pytest.mark.parametrize("case", [18], indirect=True)
@pytest.mark.parametrize("name", ["semicolon", "video_column", "blank_after_comma", "quoted_blank", "excel_sep"])
@pytest.mark.usefixtures("case")
def test_both_commands_take_the_same_csv(name: str) -> None:
    assert bike(f"extract videos OUT --list {name}.csv") == 0
    assert [(record.path, record.status) for record in read_manifest("OUT/manifest.csv")] == [("a.mp4", "ok")]
    assert annotated(f"csv --source {name}.csv --media videos") == {"train": [("a.mp4", "jump")]}
