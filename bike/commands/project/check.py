"""``bike check``: what a project needs and what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def check(
    folder: Annotated[Path, typer.Argument(help="Folder of the project.")] = Path(),
    renew: Annotated[
        bool, typer.Option("--renew", help="First write the hash files in code/ for the code that is installed.")
    ] = False,
    contents: Annotated[bool, typer.Option("--contents", help="Compare the videos' checksums as well.")] = False,
) -> None:
    """Show what is there and what is missing: parameters, code, videos, annotation, weights, disk, hours.

    Exit status 1 where `dvc repro` would stop.

    \b
    bike check
    bike check --renew
    """
    from bike.project.check import check_project, renewed
    from bike.project.code import write_code
    from bike.project.protocol import load_protocol
    from bike.project.render import stages_of

    if renew:
        typer.echo(renewed(write_code(folder, stages_of(load_protocol(folder)))))
    checks = check_project(folder, contents=contents)
    for found in checks:
        typer.echo(f"{found.status:<4}  {found.subject:<17}  {found.detail}")
    if any(found.status == "bad" for found in checks):
        raise typer.Exit(1)
