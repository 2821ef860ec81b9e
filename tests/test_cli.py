"""The command line as a whole: help of every command, quick start, one-line errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
from helpers.commands import run_bike
from typer.testing import CliRunner

from bike.cli import COMMANDS, build_app, find_command, guarded
from bike.errors import BikeError

APP = build_app()


def all_commands() -> Iterator[tuple[str, ...]]:
    """Every command and every command of a group, as words."""
    group = typer.main.get_command(APP)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        yield (name,)
        for inner in getattr(command, "commands", {}):
            yield (name, inner)


@pytest.mark.parametrize("words", list(all_commands()), ids=" ".join)
def test_help_says_what_it_does_and_shows_an_example(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(APP, [*words, "--help"], env={"COLUMNS": "160", "NO_COLOR": "1"})
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output
    if len(words) == 2 or not isinstance(find_command(words[0]), typer.Typer):
        examples = result.output.partition("Examples")[2].splitlines()
        assert any(line.startswith(f"   bike {' '.join(words)}") for line in examples), "an example is missing"


def test_help_lists_every_command() -> None:
    result = CliRunner().invoke(APP, ["--help"], env={"COLUMNS": "160"})
    assert [name for name in COMMANDS if name not in result.output] == []


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from bike.cli import build_app; build_app(); "
        "heavy = ('torch', 'pandas', 'webdataset', 'av', 'matplotlib', 'pydantic', 'dvclive'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_command_is_an_error() -> None:
    done = run_bike("nosuch")
    assert done.returncode == 2
    assert "No such command" in done.stderr


MISSING = [
    ("extract", "absent", "out"),
    ("annotate", "csv", "--source", "absent.csv", "--media", "absent", "--out", "out"),
    ("shard", "absent.csv", "out", "--frames", "absent"),
    ("predict", "absent.mp4", "--checkpoint", "absent.pt", "--classes", "a,b"),
    ("weights", "inspect", "absent.pt"),
]


@pytest.mark.parametrize("words", MISSING, ids=lambda words: words[0])
def test_a_missing_file_is_one_line_and_writes_nothing(words: tuple[str, ...], tmp_path: Path) -> None:
    done = run_bike(*words, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("Error: ")
    assert "absent" in done.stderr
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    "variables",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["ascii", "C"],
)
def test_an_output_that_is_not_utf8_gets_escapes(variables: dict[str, str]) -> None:
    done = run_bike("zoo", "list", **variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert "86.63 \\xb1 3.4" in done.stdout


@pytest.mark.parametrize("words", ["--help", "zoo list", "weights list"])
@pytest.mark.parametrize(
    ("output", "status", "said"), [("| head -0", 0, ""), (">/dev/full", 1, "No space left"), (">&-", 0, "")]
)
def test_an_output_that_takes_nothing(words: str, output: str, status: int, said: str) -> None:
    command = f"{sys.executable} -m bike.cli {words} {output}"
    # Unbuffered output fails at once; buffered, as people have it, at Python's end.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, env=buffered)  # noqa: S602
    assert done.returncode == status
    assert said in done.stderr
    assert done.stderr.count("\n") == bool(said)


def raises(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (BikeError("a.csv: no\nsuch row"), 1, "Error: a.csv: no such row\n"),
        (BikeError("a.csv: " + "[" * 9000 + ". Do it."), 1, f"Error: a.csv: {'[' * 5993} … {'[' * 1492}. Do it.\n"),
        (PermissionError(13, "Permission denied", "x.bin"), 1, "Error: x.bin: Permission denied.\n"),
        (KeyboardInterrupt(), 130, "Stopped. Finished work is kept; run the same command again to go on.\n"),
    ],
)
def test_errors_become_one_line(error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda: raises(error)) == code
    assert capsys.readouterr().err == said


def test_ctrl_c_in_a_command_says_that_work_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer()
    app.command()(lambda: raises(KeyboardInterrupt()))
    assert guarded(lambda: app([])) == 130
    assert capsys.readouterr().err.startswith("Stopped.")


def test_a_caller_s_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        guarded(lambda: raises(ZeroDivisionError()))


def test_sigterm_ends_as_ctrl_c_does(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom bike.cli import guarded\n"
        "sys.exit(guarded(lambda: (print('on', flush=True), time.sleep(60))))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert said.startswith("Stopped. Finished work is kept")


def test_an_unknown_log_level_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("BIKE_LOG", "loud")
    assert guarded(lambda: None) == 1
    assert capsys.readouterr().err.startswith("Error: BIKE_LOG: unknown level (got 'LOUD')")
