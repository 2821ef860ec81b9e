"""``bike demo-data``: render the generated data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bike.commands.options import JobsOption, MaybeParamsOption, ReplaceOption, SeedOption, SetOption, params_with


def demo_data(
    destination: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder for videos.tar and annotations.csv; made where missing.")
    ],
    params: MaybeParamsOption = None,
    setting: SetOption = None,
    seed: SeedOption = None,
    train_per_class: Annotated[int | None, typer.Option(help="Training clips per class.")] = None,
    val_per_class: Annotated[int | None, typer.Option(help="Validation clips per class.")] = None,
    test_per_class: Annotated[int | None, typer.Option(help="Test clips per class.")] = None,
    broken: Annotated[bool | None, typer.Option("--broken/--no-broken", help="Add damaged files.")] = None,
    jobs: JobsOption = None,
    replace: ReplaceOption = False,
) -> None:
    """Render a labelled data set of short H.264 clips that only the order of frames tells apart.

    Equal options give equal bytes. docs/demo.md says what is in it.

    \b
    [bold]Examples[/bold]
      bike demo-data data/demo/source
      bike demo-data /tmp/small --train-per-class 4 --val-per-class 1 --test-per-class 2
    """
    from bike.demo.run import make_demo_data

    settings = params_with(
        params,
        setting,
        "demo_data",
        seed=seed,
        train_per_class=train_per_class,
        val_per_class=val_per_class,
        test_per_class=test_per_class,
        broken=broken,
    )
    done = make_demo_data(destination, settings.demo_data, jobs=jobs, replace=replace)
    typer.echo(
        f"{destination}: {done.videos} videos of {done.classes} classes and {done.broken} broken files, "
        f"{done.megabytes:.1f} MB."
    )
