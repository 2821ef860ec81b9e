"""Every command that writes: inputs and strangers' files are safe, and finished work goes only with ``--replace``."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import ANY

import pytest
from helpers.fit_data import NAMES
from helpers.scores import fake_scores
from helpers.tiny_commands import COMMANDS, TRAINING
from helpers.videos import make_video

import stages.check
from bike import cli, slurm
from bike.cli import build_app, guarded
from bike.errors import BikeError
from bike.evaluate.results import write_results
from bike.files import write_between
from bike.files.disk import FAULT, part_prefix
from bike.records import write_labels
from bike.runtime.checkpoint import save_state

# What else changes nothing but its own cache or scratch folder, or prints.
NO_OUTPUT = {"check", "params", "weights", "zoo", "bench", "doctor", "slurm", "push"}
OTHER = {  # words that make another result; of an evaluation, one case for each kind of what decides it
    "extract": ["--short-side", "32"],
    "annotate": ["--params", "one_shot.yaml"],
    "few_shot": ["--repeat"],
    "shard": ["--max-size", "1MB"],
    "preview": ["--frames", "1"],
    "attributes": ["--params", "other.yaml"],
    "train": ["--params", "other.yaml"],
    "train_attributes": ["--params", "other.yaml"],
    "evaluate": ["--views", "2x1"],
    "evaluate frames": ["--set", "model.frames=2", "--allow-mismatch", "frames"],
    "evaluate short_side": ["--set", "model.short_side=64", "--allow-mismatch", "short_side"],
    "evaluate precision": ["--set", "evaluate.precision=bf16"],
    "evaluate list": ["--list", "train.csv"],
    "evaluate labels": ["--labels", "other.csv", "--allow-mismatch", "classes"],
    "evaluate shards": ["--shards", "more"],
    "evaluate interaction": ["--interaction", "dp", "--allow-mismatch", "interaction"],
    "evaluate map": ["--published-map", "2"],
    "zeroshot": ["--views", "2x1"],
    "zeroshot frames": ["--set", "model.frames=2"],
    "zeroshot short_side": ["--set", "model.short_side=64"],
    "zeroshot prompt": ["--set", "model.prompt=a {}"],
    "zeroshot labels": ["--labels", "other.csv", "--allow-mismatch", "classes"],
    "zeroshot shards": ["--shards", "more"],
    "zeroshot repeats": ["--set", "zeroshot.half_class_repeats=3"],
    "zeroshot split": ["--split", "split.txt"],
    "fuse": ["--video-weight", "0.1"],
    "predict": ["--top-k", "1"],
    "convert": ["--precision", "fp16"],
}
# A file of somebody else's where the command writes. Single files carry no record, so these are like finished ones.
TAKEN = {
    "extract": "out/a.mjpg",
    "annotate": "out/train.csv",
    "few_shot": "out/few.txt",
    "shard": "out/00000.tar",
    "train": "out/live/metrics.json",
    "evaluate": "out/metrics.json",
    "zeroshot": "out/scores.safetensors",
    "fuse": "out/confusion.csv",
    "report": "out/index.html",
    "manifest": "out/media.csv",
    "publish": "out/README.md",
}
READ = {  # inputs named as the output
    "extract": ["videos"],
    "annotate": [".", "train.csv"],
    "few_shot": ["train.csv"],
    "shard": ["frames"],
    "preview": ["shards/manifest.json"],
    "attributes": ["lexicon.txt", "val.csv", "clip.safetensors", "params.yaml", "machine.yaml", "frames/video00.mjpg"],
    "train": [
        "clip.safetensors",
        "val.csv",
        "labels.csv",
        "params.yaml",
        "frames/manifest.csv",
        "frames/absent/new.pt",
    ],
    "train_attributes": ["attributes.json", "clip.safetensors", "params.yaml"],
    "evaluate": ["frames", "model.pt"],
    "zeroshot": ["frames"],
    "fuse": ["video", "attributes"],
    "predict": ["a.mp4", "model.pt"],
    "report": ["results"],
    "convert": ["clip.safetensors"],
}


def bike(capfd: pytest.CaptureFixture[str], words: list[str]) -> tuple[int, str]:
    """Exit status and stderr of a command in this process."""
    capfd.readouterr()
    try:
        status = guarded(lambda: build_app()(words, standalone_mode=True))
    except SystemExit as end:
        status = int(end.code or 0)
    return status, capfd.readouterr().err


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make(name: str, folder: Path) -> list[str]:
    words = COMMANDS[name](folder)
    (folder / "machine.yaml").write_text("workers: 0\n")
    (folder / "one_shot.yaml").write_text("annotate: {shots: 1}\n")
    if (folder / "params.yaml").is_file():
        text = (folder / "params.yaml").read_text()
        text = text.replace(f"epochs: {TRAINING['epochs']}", "epochs: 1").replace("top_k: 1", "top_k: 2")
        (folder / "other.yaml").write_text(text)
    if (folder / "labels.csv").is_file():
        write_labels(folder / "other.csv", [*NAMES[:2], "a circle"])
        (folder / "split.txt").write_text("\n".join(NAMES[:2]))
        shutil.copytree(folder / "frames", folder / "more")  # with a video that no list has
        manifest = folder / "more/manifest.csv"
        manifest.write_text(
            manifest.read_text() + manifest.read_text().splitlines()[-1].replace("video", "late") + "\n"
        )
    return words


def out_of(words: list[str]) -> int:
    return next(place for place, word in enumerate(words) if word.startswith("out"))


def test_every_command_that_writes_is_here() -> None:
    named = {
        "few_shot": "annotate",
        "train_attributes": "train",
        "evaluate": "eval",
        "convert": "weights",
        "preview": "shards",
    }
    assert {named.get(name, name) for name in COMMANDS} | NO_OUTPUT | {"init", "demo-data", "pretrain"} == set(
        cli.COMMANDS
    )


@pytest.mark.parametrize("name", READ)
def test_an_input_is_no_output(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = make(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    if name == "annotate":
        shutil.move("clips.csv", "train.csv")
        words[words.index("clips.csv")] = "train.csv"
    before = files(tmp_path)
    for place in READ[name]:
        for more in [[], ["--replace"]] if name in OTHER else [[]]:
            chosen = [*words, *more]
            chosen[out_of(words)] = place
            status, said = bike(capfd, chosen)
            assert status == 1, (place, said)
            assert "is read here, and would be replaced" in said, (place, said)
            assert files(tmp_path) == before, (place, said)


@pytest.mark.parametrize("name", TAKEN)
def test_a_file_of_somebody_else_stays(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = make(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    taken = Path(TAKEN[name])
    taken.parent.mkdir(parents=True, exist_ok=True)
    taken.write_text("somebody else's")
    for more in [[], ["--replace"]] if name in OTHER and name != "few_shot" else [[]]:
        status, said = bike(capfd, [*words, *more])
        assert status == 1, said
        assert f"{taken}: " in said
        assert "Traceback" not in said
        assert taken.read_text() == "somebody else's"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_where_the_folder_should_be_stays(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = make(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("out").write_text("a file")
    before = files(tmp_path)
    status, said = bike(capfd, words)
    assert status == 1, said
    assert re.search(r"^Error: out[^ ]*: ", said, re.M), said
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "taken"),
    [
        (["init", "folders", "out", "--videos", "videos"], "out/README.md"),
        (["init", "folders", "out", "--videos", "videos"], "out/annotation/mine.txt"),
        (["demo-data", "out"], "out/annotations.csv"),
        (["pretrain", "out/clip.safetensors"], "out/clip.safetensors"),
        (["zoo", "params", "k400-vitb16-8f", "--out", "out/params.yaml"], "out/params.yaml"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_so_it_does_where_the_work_would_be_long(
    words: list[str], taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (taken, "videos/train/a/1.mp4"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("somebody else's")
    before = files(tmp_path)
    status, said = bike(capfd, words)
    assert status == 1, said
    assert "is there already" in said or "has finished work" in said, said
    assert files(tmp_path) == before


@pytest.mark.parametrize("other", OTHER)
def test_finished_work_goes_only_when_asked_for_and_when_the_new_is_whole(
    other: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    name = other.split()[0]
    words = make(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    status, said = bike(capfd, words)
    assert status == 0, said
    old = files(tmp_path)
    status, said = bike(capfd, [*words, *OTHER[other]])
    assert status == 1, said
    assert "has finished work that would be thrown away" in said
    assert "--replace" in said
    assert files(tmp_path) == old
    if name not in ("extract", "shard"):  # packs and shards are renewed one by one
        with monkeypatch.context() as patch:
            patch.setenv(FAULT, f"2:ENOSPC:{tmp_path_factory.mktemp('count') / 'count'}")
            status, said = bike(capfd, [*words, *OTHER[other], "--replace"])
        assert status == 1, said
        assert files(tmp_path) == old, said
    status, said = bike(capfd, [*words, *OTHER[other], "--replace"])
    assert status == 0, said
    assert files(tmp_path) != old


@pytest.mark.parametrize(
    ("name", "first", "change"),
    [
        ("extract", [], {"videos": "others"}),  # of the same names
        ("extract", [], {"videos": "fewer"}),
        ("annotate", [], {"clips.csv": "others.csv"}),
        ("annotate", ["--first-id", "0"], {"0": "1"}),
        ("annotate", ["--labels", "few.txt"], {"few.txt": "more.txt"}),
        (
            "annotate",
            ["--set", "annotate.shots=1", "--set", "annotate.shots_seed=0"],
            {"annotate.shots_seed=0": "annotate.shots_seed=1"},
        ),
    ],
    ids=lambda value: " ".join(value.values()) if isinstance(value, dict) else "",
)
def test_other_data_takes_the_place_of_finished_work_only_when_asked_for(
    name: str,
    first: list[str],
    change: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    words = [*make(name, tmp_path), *first]
    monkeypatch.chdir(tmp_path)
    if name == "extract":
        for video in "ab":
            make_video(Path(f"others/{video}.mp4"), 3)
        Path("fewer").mkdir()
        shutil.copy2("videos/a.mp4", "fewer")
    else:
        Path("others.csv").write_text("path,label\na.mp4,sing\n")
        Path("few.txt").write_text("run\njump\n")
        Path("more.txt").write_text("jump\nrun\n")
    assert bike(capfd, words) == (0, ANY)
    assert bike(capfd, words) == (0, ANY)
    old = files(tmp_path)
    words = [change.get(word, word) for word in words]
    status, said = bike(capfd, words)
    assert status == 1, said
    assert "has finished work that would be thrown away" in said
    assert files(tmp_path) == old
    status, said = bike(capfd, [*words, "--replace"])
    assert status == 0, said
    assert files(tmp_path) != old


@pytest.mark.parametrize("name", ["extract", "annotate"])
def test_data_that_grew_needs_no_asking(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = make(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert bike(capfd, words) == (0, ANY)
    if name == "extract":
        make_video(Path("videos/b.mp4"), 4)
        make_video(Path("videos/c.mp4"), 2)
    else:
        with Path("clips.csv").open("a") as file:
            file.write("c.mp4,sing\n")
    assert bike(capfd, words) == (0, ANY)
    assert "c.mp4" in Path("out", "manifest.csv" if name == "extract" else "train.csv").read_text()


@pytest.mark.parametrize(
    ("name", "state", "named"),  # a training that finds such a state beside its model refuses that first
    [("train", "state.pt", True), *(("attributes", "0/rows-0-000000.pt", named) for named in (True, False))],
)
def test_the_state_of_another_result_lets_nothing_be_replaced(
    name: str,
    state: str,
    named: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    words = make(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    out = Path(words[out_of(words)])
    folder = Path("state") if named else out.with_name(f".{out.name}.state")
    words += ["--state", "state"] if named else []
    (folder / state).parent.mkdir(parents=True)
    save_state(folder / state, {"job": "another", "out": "../another"})
    out.parent.mkdir(exist_ok=True)
    out.write_text("finished")
    status, said = bike(capfd, words)
    assert status == 1, said
    assert "has finished work that would be thrown away" in said
    assert out.read_text() == "finished"


def test_a_training_goes_on_beside_the_result_that_it_began_to_replace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [*make("train", tmp_path), "--state", "state"]
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("bike.train.run_video.save_released", broken)
        assert bike(capfd, words)[0] == 1
    assert Path("state/state.pt").is_file()
    Path("out/model.pt").write_text("as if it was killed right after this")
    status, said = bike(capfd, words)
    assert status == 0, said
    assert not Path("state").exists()


def broken(*_: object) -> None:
    raise BikeError("no room")


def test_a_renewed_table_of_videos_needs_no_asking(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/a.mp4").write_text("a")
    table = tmp_path / "videos/media.csv"
    words = ["manifest", str(tmp_path / "videos"), "--out", str(table)]
    for name in "bc":
        (tmp_path / f"videos/{name}.mp4").write_text(name)
        assert bike(capfd, words)[0] == 0
        assert f"{name}.mp4" in table.read_text()


def write_origin(path: Path) -> None:
    write_results(path.parent / "r", fake_scores(list("abcd"), 0), origin={})


def write_marks(path: Path) -> None:
    path.write_text("<>\n</>")
    write_between(path, "<>", "</>", "new\n")


def write_script(path: Path) -> None:
    with pytest.raises(BikeError, match="the job failed"):
        slurm.run_nodes(["doctor"], path.parent, nodes=1, processes="1", options=[])


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("r.provenance.json", write_origin),
        ("README.md", write_marks),
        ("nodes.sh", write_script),
        ("checked.txt", lambda _: stages.check.main()),
    ],
)
def test_what_a_killed_run_left_of_a_file_goes_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, write: Callable[[Path], None]
) -> None:
    """Of files that no claimed folder holds."""
    left = tmp_path / f"{part_prefix(Path(name))}killed.part"
    left.touch()
    monkeypatch.setattr(sys, "argv", ["check", str(tmp_path / name)])
    monkeypatch.setattr(stages.check, "check_stage", lambda: None)
    monkeypatch.setattr(slurm, "_find_sbatch", lambda: None)
    monkeypatch.setattr(slurm, "_submit", lambda _: [1])
    write(tmp_path / name)
    assert (tmp_path / name).is_file()
    assert not left.exists()
