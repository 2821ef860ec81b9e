"""``bike push``: results to the remote, and the proof that a clone gets them back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def push(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the project.")] = Path(),
    remote: Annotated[str | None, typer.Option(help="DVC remote. Default: the default.", show_default=False)] = None,
) -> None:
    """Run `dvc push --run-cache`, then pull everything into a scratch clone and compare checksums.

    What the remote lacks although `dvc push` calls it in sync, or has damaged, is sent again. It takes as much room as
    the results, and as long as a pull. The remote gets `verify = true`: a pull of a damaged object is then an error.

    \b
    [bold]Examples[/bold]
      bike push
      bike push --remote team
    """
    from bike.project.push import push_project

    done = push_project(folder, remote)
    again = f"; {done.mended} were sent again" if done.mended else ""
    typer.echo(f"{folder}: a clone gets all {done.objects} objects{again}")
    if done.configured:
        typer.echo(f"{done.configured}: pulls compare checksums from now on. Commit it, so that clones do too.")
