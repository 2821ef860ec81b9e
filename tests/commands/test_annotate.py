"""``bike annotate``: what it writes, prints and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.annotations import hmdb_replica, manifest, ucf_replica, write_rows, write_text

from bike.annotate.run import DATASETS
from bike.cli import guarded
from bike.commands.annotate import app
from bike.records import read_labels, read_list


@pytest.fixture(autouse=True)
def _wide_and_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("NO_COLOR", "1")


def run(*words: object) -> int:
    return guarded(lambda: app([str(word) for word in words], standalone_mode=False))


def test_every_data_set_has_a_command() -> None:
    names = {command.name for command in app.registered_commands}
    assert names == {*DATASETS, "few-shot"}


def test_from_official_files_to_a_few_shot_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    official = ucf_replica(tmp_path / "ucf")
    videos = sorted({path for paths in official.values() for path in paths})
    media = manifest(tmp_path / "frames" / "manifest.csv", videos[1:], rejected=videos[:1])
    out = tmp_path / "lists"
    assert run("ucf101", "--source", tmp_path / "ucf", "--media", media.parent, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "ucf101: 54 annotated, 18 videos, 3 classes" in printed
    assert "rejected" in printed
    assert "dropped  the video could not be extracted" in printed
    assert "split1/train 12, split1/test 5, split2/train 11" in printed
    few = tmp_path / "few.csv"
    assert run("few-shot", out / "split2" / "train.csv", "--shots", 2, "--seed", 1, "--out", few, "--repeat") == 0
    assert "11 samples, 2 videos of each of 3 classes" in capsys.readouterr().out
    assert len(read_list(few)) == 11
    assert run("ucf101", "--source", tmp_path / "ucf", "--out", tmp_path / "two", "--split", 2) == 0
    assert "videos not looked at" in capsys.readouterr().out
    assert [s.path for s in read_list(tmp_path / "two" / "test.csv")] == official["split2/test"]


def test_policies_from_the_command_line_and_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hmdb_replica(tmp_path / "hmdb")
    media = manifest(tmp_path / "m.csv", ["x.avi"])
    words = ("hmdb51", "--source", tmp_path / "hmdb", "--media", media, "--out", tmp_path / "out", "--split", 1)
    assert run(*words, "--policy", "missing=error") == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: hmdb51: 12 findings whose policy is error: missing brush_hair/#0")
    assert error.count("\n") == 1
    assert run(*words, "--policy", "missing=keep", "--names", "published") == 0
    assert read_labels(tmp_path / "out" / "labels.csv")[2] == "kick_ball"
    params = write_text(tmp_path / "params.yaml", "annotate:\n  missing: keep\n  min_frames: 100\n")
    assert run(*words, "--params", params) == 0
    assert run(*words, "--params", params, "--policy", "missing=drop") == 1
    assert "no sample is left" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--policy", "missing"), "--policy: a pair with = is needed (got 'missing')"),
        (("--policy", "mising=drop"), "Did you mean 'missing'?"),
        (("--policy", "missing=ignore"), "'error', 'drop' or 'keep' is allowed (got 'ignore')"),
        (("--params", "absent.yaml"), "absent.yaml: no such file"),
        (("--split", "a=nothing"), "split 'nothing': unknown; train, val, test are allowed"),
        (("--default-split", "x"), "split 'x': unknown"),
        (("--media", "absent"), "absent: no such folder"),
        (("--labels", "absent.csv"), "absent.csv: no such file"),
        (("--label-column", "kind"), "column 'kind' is missing (columns: path, label)"),
    ],
)
def test_a_bad_option_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, str], said: str
) -> None:
    source = write_rows(tmp_path / "a.csv", [("path", "label"), ("a.mp4", "run")])
    assert run("csv", "--source", source, "--out", tmp_path / "out", *words) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_only_data_sets_with_official_splits_take_a_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("folders", "--source", tmp_path, "--out", tmp_path / "out", "--split", 2) == 1
    assert "--split: folders has no numbered splits (only ucf101, hmdb51)" in capsys.readouterr().err


def test_columns_and_splits_of_a_csv(tmp_path: Path) -> None:
    rows = [("clip", "kind", "fold"), ("a.mp4", "run", "f1"), ("b.mp4", "run", "f2"), ("c.mp4", "jump", "f3")]
    source = write_rows(tmp_path / "a.csv", rows)
    columns = ("--path-column", "clip", "--label-column", "kind", "--split-column", "fold")
    splits = ("--split", "f1=train", "--split", "f2=val", "--split", "f3=")
    assert run("csv", "--source", source, "--out", tmp_path / "out", *columns, *splits) == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.txt")) == ["train.txt", "val.txt"]


def test_names_with_markup_are_printed_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_rows(tmp_path / "a.csv", [("path", "label"), ("a.mp4", "run")])
    assert run("csv", "--source", source, "--out", tmp_path / "[red]out") == 0
    assert "[red]out: train 1" in capsys.readouterr().out.replace("\n", "")


def test_published_lists_need_a_known_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_text(tmp_path / "train.txt", "a 8 0\n")
    labels = write_text(tmp_path / "names.txt", "run\n")
    words = ("published", "--source", source, "--labels", labels, "--out", tmp_path / "out")
    for option, value in (("--layout", "tars"), ("--names", "short")):
        with pytest.raises(Exception, match=f"'{value}' is not one of"):
            run(*words, option, value)
    assert run(*words, "--layout", "frames") == 0
