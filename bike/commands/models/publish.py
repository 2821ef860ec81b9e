"""``bike publish``: a trained model as a folder for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bike.commands.options import ReplaceOption


def publish(
    model: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Of a video branch.", show_default=False)],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.", show_default=False)],
    results: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of an evaluation of this model; may be given again.", show_default=False),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Name of the data that the results are of.")] = None,
    replace: ReplaceOption = False,
) -> None:
    """Write a folder as the Hugging Face Hub lays it out; it can be named wherever a checkpoint can.

    It has config.json, model.safetensors, labels.csv, and README.md: a model card with the metrics of the results,
    which must be of this very model. Nothing is uploaded.

    \b
    [bold]Examples[/bold]
      bike publish models/x.pt published/x
      bike publish models/x.pt published/x --results results/x/4x3 --dataset UCF-101
    """
    from bike.share.folder import publish as write_folder

    write_folder(model, folder, results=results or (), dataset=dataset, replace=replace)
    typer.echo(folder)
