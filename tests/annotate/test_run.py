"""Lists and audit: every finding under every policy, matching of paths, what is written."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from helpers.annotations import found, manifest, write_rows, write_text

from bike.annotate.classes import readable_name
from bike.annotate.entries import ReadOptions
from bike.annotate.run import annotate
from bike.errors import BikeError, DataError, ParamsError
from bike.params import Annotate
from bike.records import read_labels, read_list

ROWS = [
    ("path", "label", "name", "split"),
    ("train/a.mp4", 0, "left", "train"),
    ("train/b.mp4", 1, "right", "train"),
    ("val/c.mp4", 0, "left", "val"),
    ("test/d.mp4", 1, "right", "test"),
]
VIDEOS = [str(row[0]) for row in ROWS[1:]]


def policies(**values: object) -> Annotate:
    return Annotate.model_validate(values)


def test_the_demo_s_lists(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "annotations.csv", [*ROWS, ("test/broken.mp4", 1, "right", "test")])
    media = manifest(tmp_path / "frames" / "manifest.csv", VIDEOS, rejected=["test/broken.mp4"])
    audit = annotate("csv", source, media, tmp_path / "lists")
    assert audit.lists == {"train": 2, "val": 1, "test": 1}
    assert (audit.annotated, audit.videos, audit.classes) == (5, 5, 2)
    assert found(audit) == [("rejected", "drop", "test/broken.mp4")]
    out = tmp_path / "lists"
    names = {
        "audit.csv",
        "labels.csv",
        *(f"{split}.{kind}" for split in ("train", "val", "test") for kind in ("csv", "txt")),
    }
    assert {path.name for path in out.iterdir()} == names | {".bike-lists.json"}
    assert (out / "train.txt").read_text() == "train/a 60 0\ntrain/b 60 1\n"
    (sample,) = read_list(out / "test.csv")
    assert (sample.key, sample.video, sample.path, sample.labels) == ("test__d", "test__d", "test/d.mp4", (1,))
    assert (sample.frames, sample.start_seconds, sample.end_seconds) == (60, None, None)
    assert read_labels(out / "labels.csv") == ["left", "right"]
    with (out / "audit.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["finding", "action", "list", "path", "label", "detail"]
    assert rows[1:] == [["rejected", "drop", "test", "test/broken.mp4", "1", "no video stream"]]


def test_a_second_run_gives_the_same_bytes_and_removes_lists_without_samples(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "a.csv", ROWS)
    media = manifest(tmp_path / "manifest.csv", VIDEOS)
    out = tmp_path / "out"
    annotate("csv", source, media, out)
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    annotate("csv", source, media, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first
    write_rows(source, [row for row in ROWS if row[3] != "val"])
    annotate("csv", source, media, out)
    assert not (out / "val.csv").exists()
    assert not (out / "val.txt").exists()


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
def messy(tmp_path: Path) -> tuple[Path, Path, ReadOptions]:
    source = write_rows(tmp_path / "a.csv", MESSY)
    there = ["run1", "run2", "timed", "twice", "jump1", "wave1", "extra"]
    long = manifest(tmp_path / "long.csv", [f"good/{name}.mp4" for name in there], rejected=["good/broken.mp4"])
    short = manifest(tmp_path / "short.csv", ["good/short.mp4"], frames=3)
    media = tmp_path / "manifest.csv"
    media.write_text(long.read_text() + short.read_text().split("\n", 1)[1])
    labels = write_text(tmp_path / "names.csv", "id,name\n0,run\n")
    return source, media, ReadOptions(labels=labels)


DROP = dict.fromkeys(FINDINGS, "drop")
KEEP = dict.fromkeys(FINDINGS, "keep")


def keys(folder: Path) -> dict[str, list[str]]:
    names = ("train", "test", "unannotated")
    return {
        name: [s.key for s in read_list(folder / f"{name}.csv")] for name in names if (folder / f"{name}.csv").exists()
    }


def test_every_finding_is_found_once_and_dropped(tmp_path: Path, messy: tuple[Path, Path, ReadOptions]) -> None:
    source, media, options = messy
    audit = annotate("csv", source, media, tmp_path / "out", policies=policies(**DROP), options=options)
    assert {finding: path for finding, action, path in found(audit)} == FINDINGS
    assert len(audit.findings) == len(FINDINGS)
    assert audit.counts() == {(finding, "drop"): 1 for finding in FINDINGS}
    assert keys(tmp_path / "out") == {"train": ["good__run1", "good__twice"], "test": ["good__run2"]}


def test_every_policy_can_keep(tmp_path: Path, messy: tuple[Path, Path, ReadOptions]) -> None:
    source, media, options = messy
    audit = annotate("csv", source, media, tmp_path / "out", policies=policies(**KEEP), options=options)
    assert audit.counts() == {(finding, "keep"): 1 for finding in FINDINGS}
    assert keys(tmp_path / "out") == {
        "train": [f"good__{n}" for n in ("run1", "gone", "broken", "short", "timed-1", "twice", "jump1", "wave1")],
        "test": ["good__run2", "good__twice-1"],
        "unannotated": ["good__extra"],
    }
    samples = {sample.key: sample for sample in read_list(tmp_path / "out" / "train.csv")}
    assert (samples["good__timed-1"].start_seconds, samples["good__timed-1"].end_seconds) == (2.0, 6.0)
    assert samples["good__gone"].frames == 0
    assert samples["good__jump1"].labels == (1,)
    assert read_labels(tmp_path / "out" / "labels.csv") == ["run", "jump"]


@pytest.mark.parametrize("finding", FINDINGS)
def test_each_finding_can_stop_the_command(tmp_path: Path, messy: tuple[Path, Path, ReadOptions], finding: str) -> None:
    source, media, options = messy
    chosen = policies(**{**DROP, finding: "error"})
    with pytest.raises(
        DataError, match=rf"1 findings whose policy is error: {finding} .*{FINDINGS[finding]}"
    ) as caught:
        annotate("csv", source, media, tmp_path / "out", policies=chosen, options=options)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".bike-lists.json", "audit.csv"]
    assert f"{finding},error" in (tmp_path / "out" / "audit.csv").read_text()


def test_an_error_names_the_first_ten_and_counts_the_rest(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "a.csv", [("path", "label"), *((f"x{n}.mp4", "run") for n in range(25))])
    media = manifest(tmp_path / "manifest.csv", ["y.mp4"])
    with pytest.raises(DataError, match=r"25 findings .*x9\.mp4.*; and 15 more") as caught:
        annotate("csv", source, media, tmp_path / "out", policies=policies(missing="error"))
    assert "x10" not in str(caught.value)


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "a.csv", ROWS)
    with pytest.raises(DataError, match="no sample is left of 4 annotated"):
        annotate("csv", source, manifest(tmp_path / "manifest.csv", ["z.mp4"]), tmp_path / "out")


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
def test_paths_that_mean_the_same_video(tmp_path: Path, annotated: str, there: str) -> None:
    source = write_rows(tmp_path / "a.csv", [("path", "label"), (annotated, "run")])
    audit = annotate("csv", source, manifest(tmp_path / "manifest.csv", [there]), tmp_path / "out")
    assert found(audit) == []
    assert [sample.path for sample in read_list(tmp_path / "out" / "train.csv")] == [there]


@pytest.mark.parametrize(
    ("annotated", "there"),
    [("a/x.mp4", "b/x.mp4"), ("a/x.mp4", "a/xx.mp4"), ("x.1", "x.2"), ("a/b/x.mp4", "c/b/x.mp4"), ("x.mp4", "x/y.mp4")],
)
def test_paths_that_mean_different_videos(tmp_path: Path, annotated: str, there: str) -> None:
    source = write_rows(tmp_path / "a.csv", [("path", "label"), (annotated, "run"), ("ok.mp4", "run")])
    audit = annotate("csv", source, manifest(tmp_path / "manifest.csv", [there, "ok.mp4"]), tmp_path / "out")
    assert found(audit) == [("missing", "drop", annotated), ("unannotated", "drop", there)]


@pytest.mark.parametrize("path", ["../../x.mp4", "a/../../x.mp4", "..", ""])
def test_a_path_that_leaves_the_folder_is_never_kept(tmp_path: Path, path: str) -> None:
    source = write_rows(tmp_path / "a.csv", [("path", "label"), (path, "run"), ("ok.mp4", "run")])
    media = manifest(tmp_path / "manifest.csv", ["x.mp4", "ok.mp4", "../../x.mp4"])
    for where in (media, None):
        audit = annotate("csv", source, where, tmp_path / "out", policies=policies(**KEEP))
        assert ("missing", "drop", path) in found(audit)
        assert [sample.path for sample in read_list(tmp_path / "out" / "train.csv")] == ["ok.mp4"]


def test_names_that_differ_in_case_only_stay_apart(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "a.csv", [("path", "label"), ("a/X.mp4", "run"), ("a/x.mp4", "jump")])
    media = manifest(tmp_path / "manifest.csv", ["a/x.mp4", "a/X.mp4"])
    assert annotate("csv", source, media, tmp_path / "out").findings == []
    assert [s.path for s in read_list(tmp_path / "out" / "train.csv")] == ["a/X.mp4", "a/x.mp4"]
    audit = annotate("csv", source, manifest(tmp_path / "manifest.csv", ["a/x.mp4"]), tmp_path / "out")
    assert found(audit) == [("missing", "drop", "a/X.mp4")]  # a/x.mp4 is another one's video


def test_a_name_that_two_videos_fit_is_a_finding(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "a.csv", [("path", "label"), ("x.mp4", "run")])
    media = manifest(tmp_path / "manifest.csv", ["p/x.mp4"], rejected=["a/x.mp4"])
    audit = annotate("csv", source, media, tmp_path / "out", policies=policies(duplicate="keep"))
    row, other = audit.findings
    assert (row.finding, row.detail) == ("duplicate", "fits p/x.mp4 (taken) and a/x.mp4")
    assert (other.finding, other.path) == ("unannotated", "a/x.mp4")
    assert [s.path for s in read_list(tmp_path / "out" / "train.csv")] == ["p/x.mp4"]


def test_a_duplicate_says_what_is_different(tmp_path: Path) -> None:
    rows = [
        ("path", "label", "split"),
        ("x.mp4", "run", "train"),
        ("./x.mp4", "jump", "test"),
        ("x.mp4", "run", "train"),
    ]
    source = write_rows(tmp_path / "a.csv", rows)
    media = manifest(tmp_path / "manifest.csv", ["x.mp4"])
    audit = annotate("csv", source, media, tmp_path / "out", policies=policies(duplicate="drop"))
    assert [row.detail for row in audit.findings] == ["also in train, also labelled run", "listed again"]


def test_unannotated_videos_can_be_kept_for_prediction(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "a.csv", [("path", "label"), ("x.mp4", "run")])
    media = manifest(tmp_path / "manifest.csv", ["x.mp4", "y.mp4"], rejected=["z.mp4"])
    audit = annotate("csv", source, media, tmp_path / "out", policies=policies(unannotated="keep"))
    assert found(audit) == [("unannotated", "keep", "y.mp4"), ("unannotated", "drop", "z.mp4")]
    assert [(s.path, s.labels) for s in read_list(tmp_path / "out" / "unannotated.csv")] == [("y.mp4", ())]
    annotate("csv", source, media, tmp_path / "out")
    assert not (tmp_path / "out" / "unannotated.csv").exists()


@pytest.mark.parametrize(
    ("start", "end", "expected", "findings"),
    [
        (1.0, 3.0, (1.0, 3.0), []),
        (0.0, 6.05, (0.0, 6.0), []),  # less than a frame past the end
        (2.0, 9.0, (2.0, 6.0), ["past_end"]),
        (-1.0, 3.0, (0.0, 3.0), ["past_end"]),
        (3.0, 2.0, None, ["past_end", "too_short"]),
        (7.0, 9.0, None, ["past_end", "too_short"]),
        (1.0, 1.3, None, ["too_short"]),
    ],
)
def test_times_are_moved_into_the_video(
    tmp_path: Path, start: float, end: float, expected: tuple[float, float] | None, findings: list[str]
) -> None:
    rows = [("path", "label", "start_seconds", "end_seconds"), ("x.mp4", "run", start, end), ("y.mp4", "run", "", "")]
    media = manifest(tmp_path / "manifest.csv", ["x.mp4", "y.mp4"])
    audit = annotate("csv", write_rows(tmp_path / "a.csv", rows), media, tmp_path / "out")
    samples = [s for s in read_list(tmp_path / "out" / "train.csv") if s.path == "x.mp4"]
    assert [(s.start_seconds, s.end_seconds) for s in samples] == ([expected] if expected else [])
    assert [row.finding for row in audit.findings] == findings
    assert [s.key for s in samples] == (["x-1"] if expected else [])


def test_times_may_be_open(tmp_path: Path) -> None:
    rows = [("path", "label", "start", "end"), ("x.mp4", "run", 2, ""), ("y.mp4", "run", "", 3)]
    source = write_rows(tmp_path / "a.csv", rows)
    annotate("csv", source, manifest(tmp_path / "m.csv", ["x.mp4", "y.mp4"]), tmp_path / "out")
    times = [(s.start_seconds, s.end_seconds) for s in read_list(tmp_path / "out" / "train.csv")]
    assert times == [(2.0, 6.0), (0.0, 3.0)]
    annotate("csv", source, None, tmp_path / "out")
    times = [(s.start_seconds, s.end_seconds) for s in read_list(tmp_path / "out" / "train.csv")]
    assert times == [(2.0, None), (0.0, 3.0)]


def test_keys_are_unique_even_when_names_conspire(tmp_path: Path) -> None:
    rows = [
        ("path", "label", "start", "end"),
        ("a-1.mp4", "run", "", ""),
        ("a.mp4", "run", 0, 2),
        ("a.mp4", "run", 2, 4),
    ]
    media = manifest(tmp_path / "manifest.csv", ["a.mp4", "a-1.mp4"])
    annotate("csv", write_rows(tmp_path / "a.csv", rows), media, tmp_path / "out")
    samples = read_list(tmp_path / "out" / "train.csv")
    assert [(s.key, s.video) for s in samples] == [("a-1", "a-1"), ("a-1-x", "a"), ("a-2", "a")]
    assert not (tmp_path / "out" / "train.txt").exists()  # the published form has no times


def test_class_names_come_in_alphabetical_order_and_variants_fall_together(tmp_path: Path) -> None:
    words = ["Pull up", "jump", "pull_up", "Pull up", "YoYo", "a=b"]
    rows = [("path", "label"), *((f"{n}.mp4", word) for n, word in enumerate(words))]
    audit = annotate("csv", write_rows(tmp_path / "a.csv", rows), None, tmp_path / "out")
    assert read_labels(tmp_path / "out" / "labels.csv") == ["Pull up", "Yo Yo", "a=b", "jump"]
    assert [s.labels for s in read_list(tmp_path / "out" / "train.csv")] == [(0,), (3,), (0,), (0,), (1,), (2,)]
    (row,) = audit.findings
    assert (row.finding, row.path, row.label, row.detail) == ("spelling", "2.mp4", "pull_up", "taken for 'Pull up'")
    annotate("csv", tmp_path / "a.csv", None, tmp_path / "out", policies=policies(prompt_names="published"))
    assert read_labels(tmp_path / "out" / "labels.csv") == ["Pull up", "YoYo", "a=b", "jump"]
    assert (tmp_path / "out" / "labels.csv").read_text().startswith("id,name\n")


def test_published_names_stand_beside_readable_ones(tmp_path: Path) -> None:
    rows = [("path", "label"), ("a.mp4", "JumpRope"), ("b.mp4", "jump rope"), ("c.mp4", "Jump_Rope"), ("d.mp4", "Run")]
    labels = write_text(tmp_path / "l.csv", "id,name,published\n0,rope jumping,JumpRope\n1,running fast,Run\n")
    source = write_rows(tmp_path / "a.csv", rows)
    audit = annotate("csv", source, None, tmp_path / "out", options=ReadOptions(labels=labels))
    assert (tmp_path / "out" / "labels.csv").read_text() == labels.read_text()
    assert [row.finding for row in audit.findings] == ["spelling", "spelling"]
    annotate(
        "csv",
        source,
        None,
        tmp_path / "out",
        options=ReadOptions(labels=labels),
        policies=policies(prompt_names="published"),
    )
    assert read_labels(tmp_path / "out" / "labels.csv") == ["JumpRope", "Run"]


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


def test_names_that_would_become_equal_stay_as_published(tmp_path: Path) -> None:
    labels = write_text(tmp_path / "l.csv", "id,name\n0,sit_up\n1,sit up\n2,_\n")
    rows = [("path", "label"), ("a.mp4", 0), ("b.mp4", 1), ("c.mp4", 2)]
    annotate("csv", write_rows(tmp_path / "a.csv", rows), None, tmp_path / "o", options=ReadOptions(labels=labels))
    assert read_labels(tmp_path / "o" / "labels.csv") == ["sit_up", "sit up", "_"]


def test_integer_labels_without_a_name(tmp_path: Path) -> None:
    rows = [("path", "label", "name"), ("a.mp4", 0, "zero"), ("b.mp4", 3, "three"), ("c.mp4", 3, "three")]
    source = write_rows(tmp_path / "a.csv", rows)
    with pytest.raises(DataError, match=r"2 findings .* no_name 1 .*; no_name 2"):
        annotate("csv", source, None, tmp_path / "out")
    audit = annotate("csv", source, None, tmp_path / "out", policies=policies(no_name="keep"))
    assert read_labels(tmp_path / "out" / "labels.csv") == ["zero", "class 1", "class 2", "three"]
    assert audit.counts() == {("no_name", "keep"): 2}
    bare = write_rows(tmp_path / "b.csv", [("path", "label"), ("a.mp4", 1)])
    with pytest.raises(DataError, match="there are no class names; give a name column or a file of names"):
        annotate("csv", bare, None, tmp_path / "out")
    annotate("csv", bare, None, tmp_path / "out", policies=policies(no_name="keep"))
    assert read_labels(tmp_path / "out" / "labels.csv") == ["class 0", "class 1"]


def test_one_bad_label_of_several_goes_alone(tmp_path: Path) -> None:
    rows = [("path", "label"), ("a.mp4", "0 7 1"), ("b.mp4", "7")]
    labels = write_text(tmp_path / "names.txt", "zero\none\n")
    options = ReadOptions(labels=labels)
    source = write_rows(tmp_path / "a.csv", rows)
    audit = annotate("csv", source, None, tmp_path / "out", options=options, policies=policies(no_name="drop"))
    assert [(s.path, s.labels) for s in read_list(tmp_path / "out" / "train.csv")] == [("a.mp4", (0, 1))]
    assert found(audit) == [("no_name", "drop", "a.mp4"), ("no_name", "drop", "b.mp4")]
    assert (tmp_path / "out" / "train.txt").read_text() == "a 0 0,1\n"


def test_training_samples_without_a_label(tmp_path: Path) -> None:
    rows = [("path", "label", "split"), ("a.mp4", "run", "train"), ("b.mp4", "", "train"), ("c.mp4", "", "test")]
    source = write_rows(tmp_path / "a.csv", rows)
    audit = annotate("csv", source, None, tmp_path / "out")
    assert found(audit) == [("unannotated", "drop", "b.mp4")]
    assert [s.labels for s in read_list(tmp_path / "out" / "test.csv")] == [()]
    assert (tmp_path / "out" / "test.txt").read_text() == "c 0 -1\n"


def test_few_shot_from_params(tmp_path: Path) -> None:
    rows = [("path", "label"), *((f"{name}{n}.mp4", name) for name in ("run", "jump") for n in range(5))]
    source = write_rows(tmp_path / "a.csv", rows)
    audit = annotate("csv", source, None, tmp_path / "out", policies=policies(shots=2, shots_seed=1))
    samples = read_list(tmp_path / "out" / "train.csv")
    assert audit.lists == {"train": 10}
    assert len(samples) == 10
    assert len({s.video for s in samples}) == 4
    with pytest.raises(DataError, match=r"0 \(jump\) has 5; 1 \(run\) has 5"):
        annotate("csv", source, None, tmp_path / "out", policies=policies(shots=6))


# Media


def test_a_folder_of_videos(tmp_path: Path) -> None:
    for name in ("run/a.mp4", "run/b.AVI", "jump/c.webm", "jump/notes.txt", ".hidden/d.mp4", "run/.e.mp4"):
        write_text(tmp_path / "videos" / name, "x")
    audit = annotate("folders", tmp_path / "videos", tmp_path / "videos", tmp_path / "out")
    assert audit.findings == []
    assert audit.videos == 3
    samples = read_list(tmp_path / "out" / "train.csv")
    assert [(s.path, s.labels, s.frames) for s in samples] == [
        ("jump/c.webm", (0,), 0),
        ("run/a.mp4", (1,), 0),
        ("run/b.AVI", (1,), 0),
    ]
    assert (tmp_path / "out" / "train.txt").read_text() == "jump/c.webm 0\nrun/a.mp4 1\nrun/b.AVI 1\n"


def test_folders_below_splits(tmp_path: Path) -> None:
    for name in ("train/run/a.mp4", "train/jump/deep/b.mp4", "validation/run/c.mp4", "test/jump/d.mp4"):
        write_text(tmp_path / "videos" / name, "x")
    audit = annotate("folders", tmp_path / "videos", None, tmp_path / "out")
    assert audit.lists == {"train": 2, "val": 1, "test": 1}
    assert read_labels(tmp_path / "out" / "labels.csv") == ["jump", "run"]


def test_videos_outside_of_class_folders(tmp_path: Path) -> None:
    write_text(tmp_path / "videos" / "a.mp4", "x")
    with pytest.raises(DataError, match=r"outside of class folders: a\.mp4"):
        annotate("folders", tmp_path / "videos", None, tmp_path / "out")


def test_media_that_is_not_there(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "a.csv", ROWS)
    (tmp_path / "empty").mkdir()
    for media in (tmp_path / "absent", tmp_path / "empty", manifest(tmp_path / "manifest.csv", [])):
        with pytest.raises(BikeError, match=media.name):
            annotate("csv", source, media, tmp_path / "out")
    assert not (tmp_path / "out").exists()


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
    assert calls[1] < 100 * 20_000
