"""``bike check``: what a project needs and what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bike.commands.common import JsonOption, answer_checks


def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the project.")] = Path(),
    renew: Annotated[
        bool, typer.Option("--renew", help="First write the hash files in code/ for the code that is installed.")
    ] = False,
    contents: Annotated[bool, typer.Option("--contents", help="Compare the videos' checksums as well.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is there and what is missing: parameters, code, videos, annotation, weights, disk, hours.

    Exit status 1 where `dvc repro` would stop at its first stage.

    \b
    [bold]Examples[/bold]
      bike check
      bike check --renew
    """
    from bike.project.check import check_project, renewed
    from bike.project.code import write_code
    from bike.project.protocol import load_protocol
    from bike.project.render import stages_of

    if renew:
        typer.echo(renewed(write_code(folder, stages_of(load_protocol(folder)))), err=as_json)
    answer_checks(check_project(folder, contents=contents), as_json=as_json)
