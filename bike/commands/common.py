"""What all commands share: how much is said and where, the version, and an answer as text or JSON."""

from __future__ import annotations

import json
import math
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bike.progress import add_log, log, said, say_less, say_more

if TYPE_CHECKING:
    from bike.doctor.check import Check

_PANEL = "Of every command"
# A log begins with a time and the command line; a file that doesn't is no log.
_LOG = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d bike ")

JsonOption = Annotated[
    bool, typer.Option("--json", help="The answer as one JSON document on stdout; all else goes to stderr.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and what it takes; do nothing.")]


def answer(document: Any, lines: Iterable[str], *, as_json: bool = False, then: Iterable[object] = ()) -> None:
    """Print what a command found or did, to stdout.

    Args:
        document: dicts, lists, texts and numbers; NaN and infinity become null.
        lines: the same for people.
        as_json: print the document, and nothing else.
        then: words of the command that is usually next, for a hint on stderr.
    """
    if as_json:
        typer.echo(json.dumps(_plain(document), indent=2, allow_nan=False))
        return
    for line in lines:
        typer.echo(line)
    # Capitals stand for what isn't known here. In the shell's words, for those who copy it.
    command = shlex.join(["bike", *map(str, then)])
    if command != "bike" and command.isprintable():
        log.info("Next: %s", command)


def answer_checks(checks: Sequence[Check], *, as_json: bool) -> None:
    """Print findings; a bad one ends the command with status 1."""
    bad = any(check.status == "bad" for check in checks)
    lines = [f"{check.status:<4}  {check.subject:<17}  {check.detail}" for check in checks]
    answer({"ok": not bad, "checks": [asdict(check) for check in checks]}, lines, as_json=as_json)
    if bad:
        raise typer.Exit(1)


def answer_metrics(out: Path, metrics: Mapping[str, Any], *, as_json: bool) -> None:
    """Print what an evaluation measured."""
    from bike.evaluate.results import summary_line

    then = ("report", out.parent.parent, "--show") if len(out.parts) > 2 else ()  # it reads NAME/VIEWS below a folder
    answer({"folder": out, **metrics}, [f"{out}: {summary_line(metrics)}"], as_json=as_json, then=then)


def answer_foreseen(about: dict[str, Any], things: str, *, as_json: bool) -> None:
    """Print what would be done: counts, ``bytes`` and ``hours``; ``things`` are what is counted."""
    from bike.files import size_text
    from bike.project.takes import hours_text

    counts = [f"{count} {name}" for name, count in about.items() if name not in ("bytes", "hours")]
    takes = f"about {size_text(round(about['bytes']))} and {hours_text(about['hours'])} on two cores"
    answer(about, [f"{things}: {', '.join(counts)}; {takes}. Nothing was written."], as_json=as_json)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int)) else str(value)


def _version(wanted: bool) -> None:
    if wanted:
        import platform
        from importlib.metadata import PackageNotFoundError, version

        try:
            torch = f"torch {version('torch')}"  # its import takes seconds
        except PackageNotFoundError:
            torch = "no torch"
        typer.echo(f"bike {version('bike-video')}, Python {platform.python_version()}, {torch}")
        raise typer.Exit


def version_option(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_version, help="Of bike, Python and torch."),
    ] = False,
) -> None:
    """What stands before a command's name."""


def _log_to(path: Path | None) -> None:
    if path is None:
        return
    from bike.errors import BikeError, one_line
    from bike.files import open_write, unreadable, unwritable

    first = b""
    try:
        if path.is_file():
            with path.open("rb") as file:
                first = file.read(64)
    except OSError as error:
        raise unreadable(path, error) from error
    if first and not _LOG.match(first):
        raise BikeError(f"--log-file: {path} is no log of bike's, so nothing is added to it. Choose another name.")
    try:
        add_log(open_write(path, "a"), str(path))
    except OSError as error:
        raise unwritable(path, error) from error
    said.info("bike %s", one_line(shlex.join(sys.argv[1:])))


def _of_every_command(
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            callback=lambda wanted: say_less() if wanted else None,
            help="Only results, warnings and errors: no progress, no hints.",
            rich_help_panel=_PANEL,
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            callback=lambda wanted: say_more() if wanted else None,
            help="With the time of each line, and where an error was raised.",
            rich_help_panel=_PANEL,
        ),
    ] = False,
    log_file: Annotated[
        Path | None,
        typer.Option(
            "--log-file",
            metavar="FILE",
            callback=_log_to,
            help="Add what is said to a file as well, with times.",
            rich_help_panel=_PANEL,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Lends its options to :func:`add_common`."""


@cache
def _common() -> list[Any]:
    app = typer.Typer(add_completion=False)
    app.command()(_of_every_command)
    options = typer.main.get_command(app).params
    for option in options:
        option.expose_value = False  # the callbacks do it all
        option.is_eager = True  # before an option that fails
    return list(options)


def add_common(command: Any) -> Any:
    """Give a command, and every one below it, the options that may stand before and after its name.

    The paragraphs of its help, which are broken as the source is, become lines that a terminal can break itself.
    """
    for inner in getattr(command, "commands", {}).values():
        add_common(inner)
    command.params = [*command.params, *_common()]
    paragraphs = (command.help or "").split("\n\n")
    command.help = "\n\n".join(text if text.startswith("\b") else text.replace("\n", " ") for text in paragraphs)
    return command
