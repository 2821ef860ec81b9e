"""The ``bike`` command. Each subcommand is one file under ``bike/commands/``; heavy imports happen inside them."""

from __future__ import annotations

import importlib
import io
import logging
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup

from bike.errors import BikeError, ParamsError, PeerGoneError, one_line, reason_of
from bike.progress import log, said, start_log

SAID = "BIKE_SAID"  # a folder that all processes of one launch share

# Command -> module under bike.commands, which has a Typer `app` or a function of its own name. `bike --help` keeps the
# order: a project, the pipeline, then what looks at it.
COMMANDS = {
    "init": "project.init",
    "check": "project.check",
    "manifest": "project.manifest",
    "push": "project.push",
    "params": "project.params",
    "demo-data": "demo_data",
    "extract": "extract",
    "annotate": "annotate",
    "shard": "shard",
    "shards": "shards",
    "pretrain": "pretrain",
    "attributes": "attributes",
    "train": "train",
    "eval": "evaluate",
    "zeroshot": "zeroshot",
    "fuse": "fuse",
    "predict": "predict",
    "report": "report",
    "export": "models.export",
    "publish": "models.publish",
    "slurm": "slurm",
    "weights": "models.weights",
    "zoo": "models.zoo",
    "bench": "bench",
    "doctor": "doctor",
}

EXITS = (
    "Exit status: 0 done, 1 an error or a fault that was looked for, 2 a wrong command line, 3 done but for rejected "
    "videos (--strict), 130 stopped by Ctrl-C, 143 stopped by SIGTERM, as before a requeue."
)

# What is true of a command that was stopped. Any other one writes its result whole or not at all.
GOES_ON = "Finished work is kept; run the same command again to go on."
STARTS_OVER = "Nothing is left half-written; run the same command again to start over."
STOPPED = {
    "extract": "Finished videos are kept; run the same command again for the others.",
    "shard": "Finished shards are kept; run the same command again for the others.",
    "attributes": "Videos that were looked at are kept; run the same command again for the others.",
    "train": "The state is kept; run the same command again to go on from it.",
    "pretrain": "The state is kept; run the same command again to go on from it.",
    "eval": "Scored videos are kept; run the same command again for the others.",
    "zeroshot": "Scored videos are kept; run the same command again for the others.",
    "predict": "A .jsonl keeps its lines; run the same command again, with --replace if there is one, to start over.",
    "push": "What was sent stays sent; run the same command again for the rest.",
    "slurm": "Submitted jobs go on: `squeue --me` shows them, `scancel` ends them. --retry waits for what is left.",
    "weights": "What was fetched is kept; run the same command again for the rest.",
}

# What follows `bike slurm` is another command, with options of its own.
CONTEXTS = {"slurm": {"ignore_unknown_options": True, "allow_extra_args": True}}


def find_command(name: str) -> Any:
    """The Typer application or the function behind a name in :data:`COMMANDS`."""
    module = importlib.import_module(f"bike.commands.{COMMANDS[name]}")
    return getattr(module, "app", None) or getattr(module, COMMANDS[name].rpartition(".")[2])


class _InOrder(TyperGroup):
    """Typer puts groups behind all others."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)


def build_app() -> typer.Typer:
    """The Typer application with every command in :data:`COMMANDS`."""
    common = importlib.import_module("bike.commands.common")
    app = typer.Typer(
        name="bike",
        cls=_InOrder,
        context_settings={"help_option_names": ["-h", "--help"]},
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        help="Video recognition with CLIP: from raw videos to pinned benchmark numbers.",
        epilog=EXITS,
        callback=common.version_option,
    )
    for name in COMMANDS:
        command = find_command(name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name, context_settings=CONTEXTS.get(name))(command)
    return app


def guarded(run: Any, stopped: str = GOES_ON) -> int:
    """Call ``run`` and turn users' errors into one line on stderr and an exit status.

    Args:
        run: called without arguments.
        stopped: what is said of its work after Ctrl-C and SIGTERM.

    Returns:
        0 when ``run`` returns, 1 for a :class:`BikeError` or an operating system error, 130 for Ctrl-C, 143 for
        SIGTERM.
    """
    terminated = False

    # Left alone, SIGTERM ends Python at once; as Ctrl-C it removes temporary files and ends helper processes first.
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal terminated
        terminated = True
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()  # no other thread may set a handler
    before = signal.signal(signal.SIGTERM, interrupt) if main else None
    try:
        status = _guarded(run, stopped)
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
    return 143 if terminated and status == 130 else status


def _guarded(run: Any, stopped: str) -> int:
    try:
        _ready_streams()
        start_log(_log_level())
        # Their routine messages are not for users.
        for library in ("botocore", "boto3", "urllib3", "distributed", "torch"):
            logging.getLogger(library).setLevel(logging.WARNING)
        try:
            run()
        finally:
            sys.stdout.flush()  # Python's own flush, at its end, can't be answered in one line
    except BikeError as error:
        if not (isinstance(error, PeerGoneError) and SAID in os.environ):
            # Where, and not what: the text may be a stranger's, and the line below says it.
            log.debug("Traceback:\n%s", "".join(traceback.format_tb(error.__traceback__)).rstrip())
            _say(f"Error: {one_line(error)}")
        return 1
    except KeyboardInterrupt:
        return _say_stopped(stopped)
    except SystemExit as end:
        if end.code == 130:  # Typer's answer to Ctrl-C
            return _say_stopped(stopped)
        raise
    except BrokenPipeError:  # of `bike … | head`, say: whoever reads has seen enough
        sys.stderr.close()  # or Python complains of the pipe once more at its end
        return 0
    except OSError as error:
        name = one_line(error.filename or "operating system")
        _say(f"Error: {name}: {reason_of(error)}.")
        _drop_output()
        return 1
    return 0


def _drop_output() -> None:
    """Forget what standard output does not take: Python would try once more at its end, and exit with 120."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _ready_streams() -> None:
    """Let every text go out: where the terminal's encoding lacks a character, an escape stands for it."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started this, `2>&-`
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (to the end)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _log_level() -> str:
    level = os.environ.get("BIKE_LOG", "INFO").upper()
    levels = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    if level not in levels:
        raise ParamsError(f"BIKE_LOG: unknown level (got {level[:40]!r}); {', '.join(levels)} are allowed.")
    return level


def _say_stopped(stopped: str) -> int:
    if SAID not in os.environ:  # the launcher says it for all, and only if it isn't what an error led to
        _say(f"Stopped. {stopped}")
    return 130


def _say(line: str) -> None:
    """Write a last line to stderr; of the processes of one launch the first speaks for all."""
    if folder := os.environ.get(SAID):
        try:
            (Path(folder) / "said").touch(exist_ok=False)
        except FileExistsError:
            return
    sys.stderr.write(f"{line}\n")
    said.error("%s", line)


def _run() -> None:
    # By name, as all of bike.commands: a stage imports this module, and no command.
    add_common = importlib.import_module("bike.commands.common").add_common
    add_common(typer.main.get_command(build_app()))()


def main() -> None:
    """Entry point of the ``bike`` command."""
    command = next((word for word in sys.argv[1:] if word in COMMANDS), "")
    sys.exit(guarded(_run, STOPPED.get(command, STARTS_OVER)))


if __name__ == "__main__":
    main()
