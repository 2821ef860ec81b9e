"""``bike doctor``: what this machine offers, and a quick look at a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bike.commands.common import JsonOption, answer_checks


def doctor(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="PATH", help="Data set to look at: videos, frame packs or shards.", show_default=False),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="How many of its videos to open.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show ffmpeg, decoders, torch and devices, and take a quick look at a data set.

    Exit status 1 when something needed is missing or the data set has a fault.

    \b
    [bold]Examples[/bold]
      bike doctor
      bike doctor videos/
      bike doctor frames/ --samples 100
    """
    from bike.doctor.data import check_data
    from bike.doctor.machine import check_machine

    checks = check_machine() + ([] if path is None else check_data(path, samples=samples))
    answer_checks(checks, as_json=as_json)
