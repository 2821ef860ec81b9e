"""Whether a ``bike`` command line, as a document shows it, would be accepted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer

from bike.cli import COMMANDS, CONTEXTS, find_command


def commands_of(name: str) -> dict[str, Any]:
    """The commands of ``bike NAME`` by their word; the word of one without others is empty."""
    app = target = find_command(name)
    if not isinstance(target, typer.Typer):
        app = typer.Typer()
        app.command(context_settings=CONTEXTS.get(name))(target)
    command = typer.main.get_command(app)
    return dict(getattr(command, "commands", {"": command}))


def options_of(command: Any) -> set[str]:
    """Every spelling of a command's options."""
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


def check_command(words: list[str], where: str) -> None:
    """Fail unless the command and its options exist and no argument is missing or too many; nothing is run."""
    name, rest = words[0], words[1:]
    assert name in COMMANDS, f"{where}: bike {name}"
    group = commands_of(name)
    if name == "slurm":  # another command follows, with options of its own
        context = group[""].make_context(name, list(rest))
        check_command([context.params["command"], *context.args], where)
        return
    word = rest[0] if rest and "" not in group else ""
    assert word in group, f"{where}: bike {name} {word}"
    command, rest = group[word], rest[1:] if word else rest
    options = options_of(command)
    for word in rest:
        if re.match(r"--?[A-Za-z]", word) and word != "--help":
            assert word.split("=")[0] in options, f"{where}: bike {name} {word}; known: {sorted(options)}"
    if not {"…", "--help"} & set(rest):
        command.make_context(name, list(rest))  # raises for missing or surplus arguments


def run_bike(*words: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bike.cli", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_COLOR": "1", **variables},
    )
