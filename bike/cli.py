"""The ``bike`` command. Each subcommand is one file under ``bike/commands/``; heavy imports happen inside them."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

import typer

from bike.errors import BikeError, ParamsError, one_line, reason_of

# Command -> (module under bike.commands, attribute). The order is the order of `bike --help`.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo-data": ("demo_data", "demo_data"),
    "extract": ("extract", "extract"),
    "annotate": ("annotate", "app"),
    "shard": ("shard", "shard"),
    "pretrain": ("pretrain", "pretrain"),
    "attributes": ("attributes", "attributes"),
    "train": ("train", "train"),
    "eval": ("evaluate", "evaluate"),
    "zeroshot": ("zeroshot", "zeroshot"),
    "fuse": ("fuse", "fuse"),
    "predict": ("predict", "predict"),
    "report": ("report", "report"),
    "weights": ("weights", "app"),
    "zoo": ("zoo", "app"),
    "bench": ("bench", "app"),
    "doctor": ("doctor", "doctor"),
}


def build_app() -> typer.Typer:
    """The Typer application with every command in :data:`COMMANDS`."""
    app = typer.Typer(
        name="bike",
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        help="Video recognition with CLIP: from raw videos to pinned benchmark numbers.",
    )
    for name, (module_name, attribute) in COMMANDS.items():
        command: Any = getattr(importlib.import_module(f"bike.commands.{module_name}"), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name, no_args_is_help=False)(command)
    return app


def guarded(run: Any) -> int:
    """Call ``run`` and turn users' errors into one line on stderr and an exit status.

    Returns:
        0 when ``run`` returns, 1 for a :class:`BikeError` or an operating system error, 130 for Ctrl-C, 143 for
        SIGTERM.
    """
    terminated = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal terminated
        terminated = True
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, interrupt) if main else None
    try:
        status = _guarded(run)
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
    return 143 if terminated and status == 130 else status


def _guarded(run: Any) -> int:
    try:
        logging.basicConfig(level=_log_level(), format="%(message)s", stream=sys.stderr)
        for library in ("botocore", "boto3", "urllib3", "distributed"):  # what they tell in passing is not for users
            logging.getLogger(library).setLevel(logging.WARNING)
        run()
    except BikeError as error:
        sys.stderr.write(f"Error: {one_line(error)}\n")
        return 1
    except KeyboardInterrupt:
        return _say_stopped()
    except SystemExit as end:
        if end.code == 130:  # Typer's answer to Ctrl-C
            return _say_stopped()
        raise
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        name = one_line(error.filename or "operating system")
        sys.stderr.write(f"Error: {name}: {reason_of(error)}.\n")
        return 1
    return 0


def _log_level() -> str:
    level = os.environ.get("BIKE_LOG", "INFO").upper()
    levels = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
    if level not in levels:
        raise ParamsError(f"BIKE_LOG: unknown level (got {level[:40]!r}); {', '.join(levels)} are allowed.")
    return level


def _say_stopped() -> int:
    sys.stderr.write("Stopped. Finished work is kept; run the same command again to go on.\n")
    return 130


def main() -> None:
    """Entry point of the ``bike`` command."""
    sys.exit(guarded(lambda: build_app()(standalone_mode=True)))


if __name__ == "__main__":
    main()
