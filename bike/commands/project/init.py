"""``bike init``: a DVC project for a published row or for your own videos."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from bike.commands.given import preset_names
from bike.commands.options import FollowLinksOption, SetOption


def init(
    name: Annotated[
        str,
        typer.Argument(
            metavar="ROW|KIND",
            help="A row of `bike zoo list`; or folders, csv, published.",
            autocompletion=preset_names,
        ),
    ],
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Folder of the project.", show_default=False)
    ] = None,
    videos: Annotated[Path | None, typer.Option(help="Folder or tar of the videos; they stay where they are.")] = None,
    annotation: Annotated[
        Path | None, typer.Option(help="The annotation's folder or file, which is copied. Not for folders.")
    ] = None,
    setting: SetOption = None,
    follow_links: FollowLinksOption = False,
) -> None:
    """Write a small DVC project: dvc.yaml, params.yaml, media.csv, a README with its commands; then `dvc repro`.

    A row's project is written without videos and annotation, too: `bike check` in it says what to bring.

    With a folder alone, renew the generated files of the project in it; what you edited is kept.

    \b
    [bold]Examples[/bold]
      bike init ucf101-vitl14-16f my-ucf --videos /data/UCF-101 --annotation /data/ucfTrainTestlist
      bike init ucf101-vitl14-16f my-ucf
      bike init folders my-project --videos /data/clips --set model.weights=ViT-B/16
      bike init .
    """
    from bike.project.init import check_name, init_project

    if folder is None and check_name(name):
        raise typer.BadParameter("the project's folder is missing after it", param_hint="ROW|KIND")
    place = Path(name) if folder is None else folder
    report = init_project(
        None if folder is None else name,
        place,
        videos=videos,
        annotation=annotation,
        settings=setting or [],
        follow_links=follow_links,
    )
    for file in report.written:
        typer.echo(f"{place / file}: written")
    for file, difference in report.kept.items():
        typer.echo(f"{place / file}: edited, so kept; bike would now write:\n{difference}")
    if report.stages:
        typer.echo(f"{place / 'code'}: {', '.join(report.stages)} have other code now; `dvc repro` will run them")
    if not (report.written or report.kept or report.stages):
        typer.echo(f"{place}: nothing to renew; your settings stay as they are")
    for line in report.missing:
        typer.echo(f"Missing: {line}")
    typer.echo(f"Next: cd {shlex.quote(str(place))} && bike check" + ("" if report.missing else " && dvc repro"))
