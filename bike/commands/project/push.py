"""``bike push``: results to the remote, and the proof that a clone gets them back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def push(
    folder: Annotated[Path, typer.Argument(help="Folder of the project.")] = Path(),
    remote: Annotated[str | None, typer.Option(help="DVC remote; left out: the default.", show_default=False)] = None,
) -> None:
    """Run `dvc push --run-cache`, then pull everything into a scratch clone and compare checksums.

    What the remote lacks although `dvc push` calls it in sync, or has damaged, is sent again. It takes as much room as
    the results, and as long as a pull.

    \b
    bike push
    bike push --remote team
    """
    from bike.project.push import push_project

    objects, mended = push_project(folder, remote)
    typer.echo(f"{folder}: a clone gets all {objects} objects" + (f"; {mended} were sent again" if mended else ""))
