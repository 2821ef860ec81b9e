"""What is said where people go wrong, or stop: each line is true, and can be followed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers import tiny_commands
from helpers.commands import run_bike
from helpers.projects import own_videos
from helpers.videos import make_video

from bike import cli
from bike.errors import BikeError, ParamsError
from bike.formats.lists import load_samples
from bike.params import load_machine, parse_params

FOLDER_FOR_LIST = [
    "extract videos out --list lists",
    "shard lists out --frames frames",
    "train --train lists --shards frames --out m.pt",
    "train --train a.csv --val lists --shards frames --out m.pt",
    "eval m.pt --list lists --shards frames --out out",
    "zeroshot --list lists --shards frames --out out",
]


@pytest.mark.parametrize("words", FOLDER_FOR_LIST)
def test_a_folder_in_the_place_of_a_list_is_told_its_lists(words: str, tmp_path: Path) -> None:
    for name in ("train", "val", "labels", "audit"):
        (tmp_path / "lists").mkdir(exist_ok=True)
        (tmp_path / f"lists/{name}.csv").touch()
    done = run_bike(*words.split(), cwd=tmp_path)
    told = "lists: is a folder; one list is needed, such as lists/test.csv. There are train.csv; val.csv in it."
    assert (done.returncode, done.stderr) == (1, f"Error: {told}\n")


@pytest.mark.parametrize("words", ["eval --checkpoint a.pt --list", "zeroshot --list", "train --train"])
def test_a_list_that_is_not_there_is_named_before_its_labels(words: str, tmp_path: Path) -> None:
    done = run_bike(*words.split(), "list.csv", "--shards", "frames", "--out", "out", cwd=tmp_path)
    assert (done.returncode, "Error: list.csv: no such file" in done.stderr) == (1, True), done.stderr


def test_a_list_without_labels_is_told_its_columns(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,class of it\na.mp4,run\n")
    with pytest.raises(BikeError, match=r"column 'label' is missing \(columns: path, class of it\).*--label-column"):
        load_samples(tmp_path / "list.csv")
    said = tmp_path / "list.txt"
    said.write_text("a run\n")
    with pytest.raises(
        BikeError, match=r"is needed: line 1\. Correct them, or make lists .* `bike annotate published`"
    ):
        load_samples(said)


def test_the_home_folder_is_where_people_write_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    tree = {"model": {"weights": "~/a.pt", "start_from": "~/b.pt"}, "attributes": {"weights": "~/c.pt"}}
    params = parse_params(tree, "params.yaml")
    assert (params.model.weights, params.model.start_from) == ("/home/ann/a.pt", "/home/ann/b.pt")
    assert params.attributes.weights == "/home/ann/c.pt"
    (tmp_path / "machine.yaml").write_text("videos: ~/videos\n")
    assert load_machine(tmp_path / "machine.yaml").videos == "/home/ann/videos"


BAD = {
    "train.lr: a number is needed (got 'fast')": {"train": {"lr": "fast"}},
    "train.lr: more than 0 is allowed (got -1)": {"train": {"lr": -1}},
    "train.lr: less than 1 is allowed (got 2)": {"train": {"lr": 2}},
    "train.epochs: a whole number is needed (got 1.5)": {"train": {"epochs": 1.5}},
    "train.loss: 'nce' or 'ds' is allowed (got 'kl')": {"train": {"loss": "kl"}},
    "train.fix_text: true or false is needed (got 'maybe')": {"train": {"fix_text": "maybe"}},
    "train: keys with values are needed (got 3)": {"train": 3},
    "evaluate.views: keys with values are needed (got 3)": {"evaluate": {"views": 3}},
    "extract.short_side: 16 or more is allowed (got 1)": {"extract": {"short_side": 1}},
    "fuse.video_weight: 1 or less is allowed (got 2)": {"fuse": {"video_weight": 2}},
    "model.weights: a text is needed (got 5)": {"model": {"weights": 5}},
    "model.allow_mismatch: a list is needed (got 'frames')": {"model": {"allow_mismatch": "frames"}},
    "report.order_pairs.0.1: is missing (got ['a'])": {"report": {"order_pairs": [["a"]]}},
}


@pytest.mark.parametrize("said", BAD)
def test_bad_values_are_told_in_plain_words(said: str) -> None:
    with pytest.raises(ParamsError) as caught:
        parse_params(BAD[said], "p.yaml")
    assert str(caught.value) == f"p.yaml: {said}."


def test_a_first_extraction_says_nothing_of_what_is_done(tmp_path: Path) -> None:
    given = tiny_commands.extract(tmp_path)
    (tmp_path / "videos/link.mp4").symlink_to("/etc/passwd")  # rejected unread
    assert "done already" not in run_bike(*given, cwd=tmp_path).stderr
    make_video(tmp_path / "videos/c.mp4", 2)
    assert "extract: 2 of 4 videos are done already\n" in run_bike(*given, cwd=tmp_path).stderr


def test_an_epoch_s_line_has_its_own_validation(tmp_path: Path) -> None:
    given = tiny_commands.train(tmp_path)
    more = ["--set", "train.epochs=3", "--set", "train.validate_every=2"]
    said = run_bike(*given, *more, cwd=tmp_path).stderr
    lines = re.findall(r"^epoch (\d) of 3: loss \S+(, validation top-1 \S+ %)?$", said, re.M)
    assert [(number, bool(validation)) for number, validation in lines] == [("1", False), ("2", True), ("3", True)]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("extract", "Finished videos are kept; run the same command again for the others."),
        ("train", "The state is kept; run the same command again to go on from it."),
        ("report", "Nothing is left half-written; run the same command again to start over."),
    ],
)
def test_ctrl_c_says_what_is_true_of_the_command(
    command: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", stop)
    monkeypatch.setattr("sys.argv", ["bike", "-q", command, "a"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert (end.value.code, capsys.readouterr().err) == (130, f"Stopped. {said}\n")


def test_a_project_whose_name_has_a_blank(tmp_path: Path) -> None:
    own_videos(tmp_path / "videos")
    done = run_bike("init", "folders", "my project", "--videos", "videos", cwd=tmp_path)
    assert done.stdout.splitlines()[-1].startswith("Next: cd 'my project' && bike check")
    (tmp_path / "my project/.bike.json").write_text("[]")
    done = run_bike("init", ".", cwd=tmp_path / "my project")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert ".bike.json: not what `bike init` wrote" in done.stderr


def test_nothing_is_foreseen_of_videos_whose_headers_say_nothing(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("run", "jump"):
            (tmp_path / f"videos/{split}/{name}").mkdir(parents=True)
            (tmp_path / f"videos/{split}/{name}/{split}.mp4").write_bytes(b"no video")
    run_bike("init", "folders", "project", "--videos", "videos", cwd=tmp_path)
    said = run_bike("check", "project", cwd=tmp_path).stdout
    assert re.search(r"^note  packs +what they take isn't known", said, re.M)
    assert "0 bytes" not in said
