"""Lists and audit: every finding under every policy, matching of paths, what is written."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from helpers.annotations import Desk, found, manifest, write_rows, write_text

from bike.annotate.audit import Audit
from bike.annotate.classes import readable_name
from bike.annotate.entries import ReadOptions
from bike.annotate.run import annotate
from bike.errors import BikeError, DataError, ParamsError
from bike.records import read_list

ROWS = [
    ("path", "label", "name", "split"),
    ("train/a.mp4", 0, "left", "train"),
    ("train/b.mp4", 1, "right", "train"),
    ("val/c.mp4", 0, "left", "val"),
    ("test/d.mp4", 1, "right", "test"),
]
VIDEOS = [str(row[0]) for row in ROWS[1:]]
ONE = [("path", "label"), ("x.mp4", "run")]


def test_the_demo_s_lists(desk: Desk, tmp_path: Path) -> None:
    media = manifest(tmp_path / "frames" / "manifest.csv", VIDEOS, rejected=["test/broken.mp4"])
    audit = desk.csv([*ROWS, ("test/broken.mp4", 1, "right", "test")], media)
    assert audit.lists == {"train": 2, "val": 1, "test": 1}
    assert (audit.annotated, audit.videos, audit.classes) == (5, 5, 2)
    assert found(audit) == [("rejected", "drop", "test/broken.mp4")]
    names = {f"{split}.{kind}" for split in ("train", "val", "test") for kind in ("csv", "txt")}
    assert {path.name for path in desk.out.iterdir()} == names | {"audit.csv", "labels.csv", ".bike-lists.json"}
    assert desk.text("train.txt") == "train/a 60 0\ntrain/b 60 1\n"
    (sample,) = desk.samples("test")
    assert (sample.key, sample.video, sample.path, sample.labels) == ("test__d", "test__d", "test/d.mp4", (1,))
    assert (sample.frames, sample.start_seconds, sample.end_seconds) == (60, None, None)
    assert desk.labels() == ["left", "right"]
    with (desk.out / "audit.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["finding", "action", "list", "path", "label", "detail"]
    assert rows[1:] == [["rejected", "drop", "test", "test/broken.mp4", "1", "no video stream"]]


def test_a_second_run_gives_the_same_bytes_and_removes_lists_without_samples(desk: Desk) -> None:
    desk.csv(ROWS, VIDEOS)
    first = {path.name: path.read_bytes() for path in desk.out.iterdir()}
    desk.csv(ROWS, VIDEOS)
    assert {path.name: path.read_bytes() for path in desk.out.iterdir()} == first
    desk.csv([row for row in ROWS if row[3] != "val"], VIDEOS)
    assert not list(desk.out.glob("val.*"))


# One set-up in which each finding occurs once: (finding, path it names).
MESSY = [
    ("path", "label", "split", "start", "end"),
    ("good/run1.mp4", "run", "train", "", ""),
    ("good/run2.mp4", "run", "test", "", ""),
    ("good/gone.mp4", "run", "train", "", ""),
    ("good/broken.mp4", "run", "train", "", ""),
    ("good/short.mp4", "run", "train", "", ""),
    ("good/timed.mp4", "run", "train", "2", "60"),
    ("good/twice.mp4", "run", "train", "", ""),
    ("good/twice.mp4", "run", "test", "", ""),
    ("good/jump1.mp4", "jump", "train", "", ""),
    ("good/Wave1.mp4", "run", "train", "", ""),
]
FINDINGS = {
    "missing": "good/gone.mp4",
    "unannotated": "good/extra.mp4",
    "rejected": "good/broken.mp4",
    "too_short": "good/short.mp4",
    "past_end": "good/timed.mp4",
    "duplicate": "good/twice.mp4",
    "no_name": "good/jump1.mp4",
    "spelling": "good/Wave1.mp4",
}


@pytest.fixture
def messy(desk: Desk, tmp_path: Path) -> Desk:
    """Has a list of the videos, with a label file, in which each finding occurs once."""
    there = ["run1", "run2", "timed", "twice", "jump1", "wave1", "extra"]
    long = manifest(tmp_path / "long.csv", [f"good/{name}.mp4" for name in there], rejected=["good/broken.mp4"])
    short = manifest(tmp_path / "short.csv", ["good/short.mp4"], frames=3)
    (tmp_path / "manifest.csv").write_text(long.read_text() + short.read_text().split("\n", 1)[1])
    write_text(tmp_path / "names.csv", "id,name\n0,run\n")
    return desk


def annotate_messy(desk: Desk, **policies: str) -> Audit:
    labels = desk.folder / "names.csv"
    return desk.csv(MESSY, desk.folder / "manifest.csv", policies={**DROP, **policies}, labels=labels)


DROP = dict.fromkeys(FINDINGS, "drop")
KEEP = dict.fromkeys(FINDINGS, "keep")


def keys(folder: Path) -> dict[str, list[str]]:
    names = ("train", "test", "unannotated")
    return {
        name: [s.key for s in read_list(folder / f"{name}.csv")] for name in names if (folder / f"{name}.csv").exists()
    }


def test_every_finding_is_found_once_and_dropped(messy: Desk) -> None:
    audit = annotate_messy(messy)
    assert {finding: path for finding, action, path in found(audit)} == FINDINGS
    assert audit.counts() == {(finding, "drop"): 1 for finding in FINDINGS}
    assert keys(messy.out) == {"train": ["good__run1", "good__twice"], "test": ["good__run2"]}


def test_every_policy_can_keep(messy: Desk) -> None:
    assert annotate_messy(messy, **KEEP).counts() == {(finding, "keep"): 1 for finding in FINDINGS}
    assert keys(messy.out) == {
        "train": [f"good__{n}" for n in ("run1", "gone", "broken", "short", "timed-1", "twice", "jump1", "wave1")],
        "test": ["good__run2", "good__twice-1"],
        "unannotated": ["good__extra"],
    }
    samples = {sample.key: sample for sample in messy.samples()}
    assert (samples["good__timed-1"].start_seconds, samples["good__timed-1"].end_seconds) == (2.0, 6.0)
    assert samples["good__gone"].frames == 0
    assert samples["good__jump1"].labels == (1,)
    assert messy.labels() == ["run", "jump"]


@pytest.mark.parametrize("finding", FINDINGS)
def test_each_finding_can_stop_the_command(messy: Desk, finding: str) -> None:
    said = rf"1 findings whose policy is error: {finding} .*{FINDINGS[finding]}"
    with pytest.raises(DataError, match=said) as caught:
        annotate_messy(messy, **{finding: "error"})
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in messy.out.iterdir()) == [".bike-lists.json", "audit.csv"]
    assert f"{finding},error" in messy.text("audit.csv")


def test_an_error_names_the_first_ten_and_counts_the_rest(desk: Desk) -> None:
    rows = [("path", "label"), *((f"x{n}.mp4", "run") for n in range(25))]
    with pytest.raises(DataError, match=r"25 findings .*x9\.mp4.*; and 15 more") as caught:
        desk.csv(rows, ["y.mp4"], policies={"missing": "error"})
    assert "x10" not in str(caught.value)


def test_nothing_left_is_an_error(desk: Desk) -> None:
    with pytest.raises(DataError, match="no sample is left of 4 annotated"):
        desk.csv(ROWS, ["z.mp4"])


def test_a_run_that_fails_leaves_finished_lists_finished(desk: Desk) -> None:
    rows = [("path", "label"), ("a.mp4", "run"), ("b.mp4", "jump")]
    desk.csv(rows, ["a.mp4", "b.mp4"])
    record = json.loads(desk.text(".bike-lists.json"))
    assert record["finished"]
    with pytest.raises(DataError, match="findings whose policy is error"):
        desk.csv(rows, ["a.mp4"], policies={"missing": "error"})
    assert json.loads(desk.text(".bike-lists.json")) == record


@pytest.mark.parametrize(
    ("annotated", "there"),
    [
        ("a/x.mp4", "a/x.mp4"),
        ("a/x.avi", "a/x.webm"),  # the extension of a video does not count
        ("a//x.mp4", "a/x.mp4"),
        ("/data/set/a/x.mp4", "a/x.mp4"),  # absolute in the annotation
        ("x.mp4", "deep/below/x.mp4"),
        ("a/x", "root/a/x.mp4"),
        ("-x.mp4", "--/-x.mp4"),
        ("--x.mp4", "--x.mp4"),
        ("a b/#x!&;(1) $y'.mp4", "a b/#x!&;(1) $y'.mp4"),
        ("a/x.y.z.mp4", "a/x.y.z.mp4"),
        ("é/ü.mp4", "é/ü.mp4"),
        ("a/\udcff.mp4", "a/\udcff.mp4"),  # not UTF-8
    ],
)
def test_paths_that_mean_the_same_video(desk: Desk, annotated: str, there: str) -> None:
    assert found(desk.csv([("path", "label"), (annotated, "run")], [there])) == []
    assert desk.paths() == [there]


@pytest.mark.parametrize(
    ("annotated", "there"),
    [("a/x.mp4", "b/x.mp4"), ("a/x.mp4", "a/xx.mp4"), ("x.1", "x.2"), ("a/b/x.mp4", "c/b/x.mp4"), ("x.mp4", "x/y.mp4")],
)
def test_paths_that_mean_different_videos(desk: Desk, annotated: str, there: str) -> None:
    audit = desk.csv([("path", "label"), (annotated, "run"), ("ok.mp4", "run")], [there, "ok.mp4"])
    assert found(audit) == [("missing", "drop", annotated), ("unannotated", "drop", there)]


@pytest.mark.parametrize("path", ["../../x.mp4", "a/../../x.mp4", "..", ""])
@pytest.mark.parametrize("media", [["x.mp4", "ok.mp4", "../../x.mp4"], None])
def test_a_path_that_leaves_the_folder_is_never_kept(desk: Desk, path: str, media: list[str] | None) -> None:
    audit = desk.csv([("path", "label"), (path, "run"), ("ok.mp4", "run")], media, policies=KEEP)
    assert ("missing", "drop", path) in found(audit)
    assert desk.paths() == ["ok.mp4"]


def test_names_that_differ_in_case_only_stay_apart(desk: Desk) -> None:
    rows = [("path", "label"), ("a/X.mp4", "run"), ("a/x.mp4", "jump")]
    assert desk.csv(rows, ["a/x.mp4", "a/X.mp4"]).findings == []
    assert desk.paths() == ["a/X.mp4", "a/x.mp4"]
    assert found(desk.csv(rows, ["a/x.mp4"])) == [("missing", "drop", "a/X.mp4")]  # a/x.mp4 is another one's video


def test_a_name_that_two_videos_fit_is_a_finding(desk: Desk, tmp_path: Path) -> None:
    media = manifest(tmp_path / "manifest.csv", ["p/x.mp4"], rejected=["a/x.mp4"])
    row, other = desk.csv(ONE, media, policies={"duplicate": "keep"}).findings
    assert (row.finding, row.detail) == ("duplicate", "fits p/x.mp4 (taken) and a/x.mp4")
    assert (other.finding, other.path) == ("unannotated", "a/x.mp4")
    assert desk.paths() == ["p/x.mp4"]


def test_a_duplicate_says_what_is_different(desk: Desk) -> None:
    rows = [("x.mp4", "run", "train"), ("./x.mp4", "jump", "test"), ("x.mp4", "run", "train")]
    audit = desk.csv([("path", "label", "split"), *rows], ["x.mp4"], policies={"duplicate": "drop"})
    assert [row.detail for row in audit.findings] == ["also in train, also labelled run", "listed again"]


def test_unannotated_videos_can_be_kept_for_prediction(desk: Desk, tmp_path: Path) -> None:
    media = manifest(tmp_path / "manifest.csv", ["x.mp4", "y.mp4"], rejected=["z.mp4"])
    audit = desk.csv(ONE, media, policies={"unannotated": "keep"})
    assert found(audit) == [("unannotated", "keep", "y.mp4"), ("unannotated", "drop", "z.mp4")]
    assert [(s.path, s.labels) for s in desk.samples("unannotated")] == [("y.mp4", ())]
    desk.csv(ONE, media)
    assert not (desk.out / "unannotated.csv").exists()


@pytest.mark.parametrize(
    ("start", "end", "expected", "findings"),
    [
        (1.0, 3.0, (1.0, 3.0), []),
        (0.0, 6.05, (0.0, 6.0), []),  # less than a frame past the end
        (2.0, 9.0, (2.0, 6.0), ["past_end"]),
        (-1.0, 3.0, (0.0, 3.0), ["past_end"]),
        (2, "", (2.0, 6.0), []),
        ("", 3, (0.0, 3.0), []),
        (3.0, 2.0, None, ["past_end", "too_short"]),
        (7.0, 9.0, None, ["past_end", "too_short"]),
        (1.0, 1.3, None, ["too_short"]),
    ],
)
def test_times_are_moved_into_the_video(
    desk: Desk, start: object, end: object, expected: tuple[float, float] | None, findings: list[str]
) -> None:
    rows = [("path", "label", "start_seconds", "end_seconds"), ("x.mp4", "run", start, end), ("y.mp4", "run", "", "")]
    audit = desk.csv(rows, ["x.mp4", "y.mp4"])
    samples = [(s.key, s.start_seconds, s.end_seconds) for s in desk.samples() if s.path == "x.mp4"]
    assert samples == ([("x-1", *expected)] if expected else [])
    assert [row.finding for row in audit.findings] == findings


def test_times_without_videos_stay_open(desk: Desk) -> None:
    desk.csv([("path", "label", "start", "end"), ("x.mp4", "run", 2, ""), ("y.mp4", "run", "", 3)])
    assert desk.times() == [(2.0, None), (0.0, 3.0)]


def test_keys_are_unique_even_when_names_conspire(desk: Desk) -> None:
    rows = [("a-1.mp4", "run", "", ""), ("a.mp4", "run", 0, 2), ("a.mp4", "run", 2, 4)]
    desk.csv([("path", "label", "start", "end"), *rows], ["a.mp4", "a-1.mp4"])
    assert [(s.key, s.video) for s in desk.samples()] == [("a-1", "a-1"), ("a-1-x", "a"), ("a-2", "a")]
    assert not (desk.out / "train.txt").exists()  # the published form has no times


def test_class_names_come_in_alphabetical_order_and_variants_fall_together(desk: Desk) -> None:
    words = ["Pull up", "jump", "pull_up", "Pull up", "YoYo", "a=b"]
    rows = [("path", "label"), *((f"{n}.mp4", word) for n, word in enumerate(words))]
    (row,) = desk.csv(rows).findings
    assert desk.labels() == ["Pull up", "Yo Yo", "a=b", "jump"]
    assert [s.labels for s in desk.samples()] == [(0,), (3,), (0,), (0,), (1,), (2,)]
    assert (row.finding, row.path, row.label, row.detail) == ("spelling", "2.mp4", "pull_up", "taken for 'Pull up'")
    desk.csv(rows, policies={"prompt_names": "published"})
    assert desk.labels() == ["Pull up", "YoYo", "a=b", "jump"]
    assert desk.text("labels.csv").startswith("id,name\n")


def test_published_names_stand_beside_readable_ones(desk: Desk, tmp_path: Path) -> None:
    rows = [("path", "label"), ("a.mp4", "JumpRope"), ("b.mp4", "jump rope"), ("c.mp4", "Jump_Rope"), ("d.mp4", "Run")]
    labels = write_text(tmp_path / "l.csv", "id,name,published\n0,rope jumping,JumpRope\n1,running fast,Run\n")
    audit = desk.csv(rows, labels=labels)
    assert desk.text("labels.csv") == labels.read_text()
    assert [row.finding for row in audit.findings] == ["spelling", "spelling"]
    desk.csv(rows, labels=labels, policies={"prompt_names": "published"})
    assert desk.labels() == ["JumpRope", "Run"]


@pytest.mark.parametrize(
    ("published", "readable"),
    [
        ("ApplyEyeMakeup", "Apply Eye Makeup"),
        ("YoYo", "Yo Yo"),
        ("brush_hair", "brush hair"),
        ("BMX", "BMX"),
        ("BMXRacing", "BMX Racing"),
        ("Disc dog", "Disc dog"),
        ("McDonald burger", "McDonald burger"),
        ("  two__words ", "two words"),
        ("backflip (human)", "backflip (human)"),
        ("_", ""),
    ],
)
def test_readable_names(published: str, readable: str) -> None:
    assert readable_name(published) == readable


def test_names_that_would_become_equal_stay_as_published(desk: Desk, tmp_path: Path) -> None:
    labels = write_text(tmp_path / "l.csv", "id,name\n0,sit_up\n1,sit up\n2,_\n")
    desk.csv([("path", "label"), ("a.mp4", 0), ("b.mp4", 1), ("c.mp4", 2)], labels=labels)
    assert desk.labels() == ["sit_up", "sit up", "_"]


def test_integer_labels_without_a_name(desk: Desk) -> None:
    rows = [("path", "label", "name"), ("a.mp4", 0, "zero"), ("b.mp4", 3, "three"), ("c.mp4", 3, "three")]
    keep = {"no_name": "keep"}
    with pytest.raises(DataError, match=r"2 findings .* no_name 1 .*; no_name 2"):
        desk.csv(rows)
    assert desk.csv(rows, policies=keep).counts() == {("no_name", "keep"): 2}
    assert desk.labels() == ["zero", "class 1", "class 2", "three"]
    with pytest.raises(DataError, match="there are no class names; give a name column or a file of names"):
        desk.csv([("path", "label"), ("a.mp4", 1)])
    desk.csv([("path", "label"), ("a.mp4", 1)], policies=keep)
    assert desk.labels() == ["class 0", "class 1"]


def test_one_bad_label_of_several_goes_alone(desk: Desk, tmp_path: Path) -> None:
    labels = write_text(tmp_path / "names.txt", "zero\none\n")
    rows = [("path", "label"), ("a.mp4", "0 7 1"), ("b.mp4", "7")]
    audit = desk.csv(rows, labels=labels, policies={"no_name": "drop"})
    assert [(s.path, s.labels) for s in desk.samples()] == [("a.mp4", (0, 1))]
    assert found(audit) == [("no_name", "drop", "a.mp4"), ("no_name", "drop", "b.mp4")]
    assert desk.text("train.txt") == "a 0 0,1\n"


def test_training_samples_without_a_label(desk: Desk) -> None:
    rows = [("path", "label", "split"), ("a.mp4", "run", "train"), ("b.mp4", "", "train"), ("c.mp4", "", "test")]
    assert found(desk.csv(rows)) == [("unannotated", "drop", "b.mp4")]
    assert [s.labels for s in desk.samples("test")] == [()]
    assert desk.text("test.txt") == "c 0 -1\n"


def test_few_shot_from_params(desk: Desk) -> None:
    rows = [("path", "label"), *((f"{name}{n}.mp4", name) for name in ("run", "jump") for n in range(5))]
    audit = desk.csv(rows, policies={"shots": 2, "shots_seed": 1})
    assert audit.lists == {"train": len(desk.samples())} == {"train": 10}
    assert len({s.video for s in desk.samples()}) == 4
    with pytest.raises(DataError, match=r"0 \(jump\) has 5; 1 \(run\) has 5"):
        desk.csv(rows, policies={"shots": 6})


# Media


def test_a_folder_of_videos(desk: Desk, tmp_path: Path) -> None:
    for name in ("run/a.mp4", "run/b.AVI", "jump/c.webm", "jump/notes.txt", ".hidden/d.mp4", "run/.e.mp4"):
        write_text(tmp_path / "videos" / name, "x")
    audit = desk.annotate("folders", tmp_path / "videos", tmp_path / "videos")
    assert (audit.findings, audit.videos) == ([], 3)
    rows = [("jump/c.webm", (0,), 0), ("run/a.mp4", (1,), 0), ("run/b.AVI", (1,), 0)]
    assert [(s.path, s.labels, s.frames) for s in desk.samples()] == rows
    assert desk.text("train.txt") == "jump/c.webm 0\nrun/a.mp4 1\nrun/b.AVI 1\n"


def test_folders_below_splits(desk: Desk, tmp_path: Path) -> None:
    for name in ("train/run/a.mp4", "train/jump/deep/b.mp4", "validation/run/c.mp4", "test/jump/d.mp4"):
        write_text(tmp_path / "videos" / name, "x")
    assert desk.annotate("folders", tmp_path / "videos").lists == {"train": 2, "val": 1, "test": 1}
    assert desk.labels() == ["jump", "run"]


def test_videos_outside_of_class_folders(desk: Desk, tmp_path: Path) -> None:
    write_text(tmp_path / "videos" / "a.mp4", "x")
    with pytest.raises(DataError, match=r"outside of class folders: a\.mp4"):
        desk.annotate("folders", tmp_path / "videos")


def test_media_that_is_not_there(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for media in (tmp_path / "absent", tmp_path / "empty", manifest(tmp_path / "manifest.csv", [])):
        with pytest.raises(BikeError, match=media.name):
            desk.csv(ROWS, media)
    assert not desk.out.exists()


def test_an_unknown_data_set_and_bad_options(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="ucf: unknown data set. Did you mean 'ucf101'?"):
        annotate("ucf", tmp_path, None, tmp_path / "out")
    with pytest.raises(ParamsError, match="--split: csv has no numbered splits"):
        annotate("csv", tmp_path, None, tmp_path / "out", options=ReadOptions(fold=1))
    for options in ({"fold": 4}, {"splits": {"a": "b"}}, {"default_split": "x"}, {"layout": "x"}):
        with pytest.raises(ParamsError):
            ReadOptions(**options)  # type: ignore[arg-type]


def test_work_grows_with_the_rows_not_with_their_square(tmp_path: Path) -> None:
    """20,000 rows: the number of function calls, not a time, is compared with that of 2,000."""
    import cProfile
    import pstats

    calls = []
    for count in (2_000, 20_000):
        names = [f"class {n % 100:03d}/clip_{n:06d}.mp4" for n in range(count)]
        source = write_rows(tmp_path / "a.csv", [("path", "label"), *((name, name[:9]) for name in names)])
        media = manifest(tmp_path / "manifest.csv", [name.replace(".mp4", ".avi") for name in names[: -count // 10]])
        profile = cProfile.Profile()
        audit = profile.runcall(annotate, "csv", source, media, tmp_path / "out")
        assert audit.lists == {"train": count - count // 10}
        assert audit.counts() == {("missing", "drop"): count // 10}
        calls.append(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]
    assert calls[1] < 11 * calls[0]
    assert calls[1] < 110 * 20_000  # 99 a row with Python 3.11, 100 with 3.13
