"""What all commands share: versions, how much is said and where, JSON, hints, exit statuses."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import tiny_commands
from helpers.commands import commands_of, run_bike
from helpers.projects import own_videos
from helpers.tiny_commands import Words
from helpers.videos import make_video
from typer.testing import CliRunner

from bike.cli import COMMANDS, EXITS, STOPPED, build_app
from bike.commands.common import answer


def test_versions_are_told_without_torch(tmp_path: Path) -> None:
    code = "import sys; from bike.cli import build_app; build_app()(['--version'], standalone_mode=False); "
    done = subprocess.run(
        [sys.executable, "-c", f"{code} assert 'torch' not in sys.modules"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"bike \d\S+, Python 3\.\d+\.\d+, torch \d\S+\n", done.stdout)
    module = subprocess.run([sys.executable, "-m", "bike", "--version"], capture_output=True, text=True, check=True)
    assert module.stdout == done.stdout


def test_help_has_the_order_of_the_pipeline_and_the_exit_statuses() -> None:
    shown = CliRunner().invoke(build_app(), ["-h"], env={"COLUMNS": "400", "NO_COLOR": "1"}).output
    assert re.findall(r"^\W*([a-z][\w-]*) +[A-Z]", shown.partition("Commands")[2], re.M) == list(COMMANDS)
    assert EXITS in shown
    assert set(STOPPED) <= set(COMMANDS)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_paragraph_of_help_is_broken_by_the_terminal_alone(columns: int) -> None:
    shown = run_bike("publish", "--help", COLUMNS=str(columns)).stdout
    lines = [line.strip() for line in shown[shown.index("It has") : shown.index("Examples")].strip().splitlines()]
    spare = [columns - 2 - len(line) for line in lines[:-1]]
    assert all(room <= len(after.split()[0]) for room, after in zip(spare, lines[1:], strict=True))


def inspect(folder: Path) -> Words:
    return ["weights", "inspect", tiny_commands.convert(folder)[2]]


def shards_info(folder: Path) -> Words:
    return ["shards", "info", tiny_commands.preview(folder)[2]]


def project_check(folder: Path) -> Words:
    own_videos(folder / "videos")
    run_bike("init", "folders", "project", "--videos", "videos", cwd=folder)
    return ["check", "project"]


def words(*given: str) -> Callable[[Path], Words]:
    return lambda folder: list(given) if folder.mkdir() is None else []


JSON: dict[str, tuple[Callable[[Path], Words], set[str]]] = {
    "extract": (tiny_commands.extract, {"folder", "videos", "frames", "bytes", "rejected"}),
    "annotate": (tiny_commands.annotate, {"folder", "lists", "findings", "notes", "classes"}),
    "few-shot": (tiny_commands.few_shot, {"file", "samples", "shots", "classes"}),
    "shard": (tiny_commands.shard, {"folder", "videos", "samples", "shards", "written", "bytes"}),
    "eval": (tiny_commands.evaluate, {"folder", "top1", "videos"}),
    "zeroshot": (tiny_commands.zeroshot, {"folder", "top1", "videos"}),
    "fuse": (tiny_commands.fuse, {"folder", "top1", "videos"}),
    "doctor": (words("doctor"), {"ok", "checks"}),
    "check": (project_check, {"ok", "checks"}),
    "zoo show": (words("zoo", "show", "k400-vitb16-8f"), {"row", "published", "needs", "params", "commands", "hours"}),
    "weights inspect": (inspect, {"path", "sha256", "problems", "contract", "architecture"}),
    "shards info": (shards_info, {"videos", "sizes", "classes"}),
}


@pytest.mark.parametrize("name", JSON)
def test_json_is_all_that_stdout_gets(name: str, tmp_path: Path) -> None:
    make, keys = JSON[name]
    given = make(tmp_path / "in")
    done = run_bike(*given, "--json", cwd=tmp_path / "in")
    assert keys <= json.loads(done.stdout).keys()
    assert "Next: " not in done.stderr


def test_the_zoo_as_json_has_every_row() -> None:
    rows = {row["row"]: row for row in json.loads(run_bike("zoo", "list", "--json").stdout)}
    assert rows["k400-vitb16-8f"]["published"]["top1"] > 50
    assert len(rows) == len(run_bike("zoo", "list", COLUMNS="400").stdout.splitlines()) - 1


def test_what_json_lacks_is_null_or_text(capsys: pytest.CaptureFixture[str]) -> None:
    answer({"a": float("nan"), 1: (Path("x"), True, 2)}, ["not shown"], as_json=True, then=["nor this"])
    assert json.loads(capsys.readouterr().out) == {"a": None, "1": ["x", True, 2]}


@pytest.mark.parametrize("place", ["before", "after"])
def test_quiet_leaves_the_answer_and_what_went_wrong(place: str, tmp_path: Path) -> None:
    given = tiny_commands.extract(tmp_path)
    done = run_bike(*(["-q", *given] if place == "before" else [*given, "-q"]), cwd=tmp_path)
    assert done.stdout.startswith("2 videos, 4 frames")
    assert done.stderr == ""
    failed = run_bike("-q", "extract", "absent", "out", cwd=tmp_path)
    assert failed.stderr.startswith("Error: absent: ")


def test_hints_name_the_next_command_with_its_paths(tmp_path: Path) -> None:
    """What one command names is what the next one takes; capitals stand for what can't be known."""
    for name in ("run/a", "jump/b"):
        make_video(tmp_path / f"my videos/{name}.mp4", 9)
    said = "bike extract 'my videos' frames"
    for expected in (
        "bike annotate folders --source 'my videos' --media frames/manifest.csv --out lists/NAME",
        "bike shard lists/NAME/train.csv shards/train --frames frames",
        "bike train --train lists/NAME/train.csv --shards shards/train --out models/MODEL.pt",
    ):
        done = run_bike(*shlex.split(said)[1:], cwd=tmp_path)
        said = done.stderr.splitlines()[-1].removeprefix("Next: ")
        assert said == expected


def test_a_log_file_gets_what_is_said_with_times(tmp_path: Path) -> None:
    given = tiny_commands.extract(tmp_path)
    run_bike("-q", *given, "--log-file", "log.txt", cwd=tmp_path)
    failed = run_bike("extract", "absent", "out", "--log-file", "log.txt", cwd=tmp_path)
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S", line) for line in lines)
    texts = [line[20:] for line in lines]
    assert texts[0] == f"bike -q {' '.join(given)} --log-file log.txt"
    assert texts[1].startswith("extract: 2/2 videos")
    assert texts[-1] == failed.stderr.strip()


def test_a_log_is_added_to_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0video")
    done = run_bike("extract", ".", "out", "--log-file", "a.mp4", cwd=tmp_path)
    assert (done.returncode, (tmp_path / "a.mp4").read_bytes()) == (1, b"\0video")
    assert done.stderr.startswith("Error: --log-file: a.mp4 is no log of bike's")
    done = run_bike("doctor", "--log-file", ".", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("Error: .: can't be written (Is a directory)")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4"]


def test_a_log_that_can_not_be_written_ends_and_the_command_goes_on(tmp_path: Path) -> None:
    given = tiny_commands.extract(tmp_path)
    done = run_bike(*given, "--log-file", "/dev/full", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("/dev/full: can't be written")) == (0, 1)


def test_verbose_says_when_and_where(tmp_path: Path) -> None:
    done = run_bike("-v", "extract", "absent", "out", cwd=tmp_path)
    assert done.returncode == 1
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d Traceback", done.stderr)
    assert done.stderr.splitlines()[-1].startswith("Error: absent")


def test_exit_statuses(tmp_path: Path) -> None:
    given = tiny_commands.extract(tmp_path)
    (tmp_path / "videos/c.mp4").write_bytes(b"no video")
    assert run_bike(*given, cwd=tmp_path).returncode == 0
    assert run_bike(*given, "--strict", cwd=tmp_path).returncode == 3
    assert run_bike(*given, "--jobs", "none", cwd=tmp_path).returncode == 2
    assert run_bike("extract", "absent", "out", cwd=tmp_path).returncode == 1


def test_an_evaluation_leads_to_the_table_of_its_folder(tmp_path: Path) -> None:
    given = tiny_commands.fuse(tmp_path)[:-1]
    done = run_bike(*given, "results/fuse/1x1", cwd=tmp_path)
    assert done.stderr.splitlines()[-1] == "Next: bike report results --show"
    assert "1×1" in run_bike("report", "results", "--show", cwd=tmp_path).stdout.replace(" ", "")
    assert "Next: " not in run_bike(*given, "elsewhere", cwd=tmp_path).stderr


def test_there_is_no_hint_where_nothing_is_next(tmp_path: Path) -> None:
    """None of the videos can be used; or the name would break the line."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/a.mp4").write_bytes(b"no video")
    assert "Next: " not in run_bike("extract", "videos", "out", cwd=tmp_path).stderr
    given = tiny_commands.extract(tmp_path / "b")
    assert "--source CLIPS.csv " in run_bike(*given, cwd=tmp_path / "b").stderr
    done = run_bike("extract", "videos", "a\nb", cwd=tmp_path / "b")
    assert (done.returncode, "Next: " in done.stderr) == (0, False)


def test_rows_and_official_weights_complete() -> None:
    for group, word, begun, whole in (
        ("zoo", "show", "k400-vitb16-8", "k400-vitb16-8f"),
        ("weights", "fetch", "ViT-L/14-", "ViT-L/14-336px"),
    ):
        command = commands_of(group)[word]
        found = command.params[0].shell_complete(command.make_context(word, ["x"]), begun)
        assert [getattr(item, "value", item) for item in found] == [whole]


def test_view_protocols_complete_with_those_of_the_params_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text, names in (("", ["1x1", "4x3"]), ("evaluate: {views: {quick: {}}}", ["quick"]), ("eval", ["1x1", "4x3"])):
        Path("params.yaml").write_text(text)
        for name in ("eval", "zeroshot", "predict"):
            command = commands_of(name)[""]
            (views,) = (param for param in command.params if param.name == "views")
            found = views.shell_complete(command.make_context(name, ["x"], resilient_parsing=True), "")
            assert [getattr(item, "value", item) for item in found] == names
