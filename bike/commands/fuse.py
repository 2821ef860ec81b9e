"""``bike fuse``: the video branch and the attribute branch together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bike.commands.options import ResultsOption


def fuse(
    video: Annotated[Path, typer.Argument(help="Results folder of the video branch (or its scores.safetensors).")],
    attributes: Annotated[Path, typer.Argument(help="Results folder of the attribute branch, same videos.")],
    out: ResultsOption,
    params: Annotated[Path | None, typer.Option(help="Params file; its section fuse is read.")] = None,
    video_weight: Annotated[
        float | None, typer.Option(min=0, max=1, help="Weight of the video branch; left out: that of the params file.")
    ] = None,
) -> None:
    """Add the scores of two finished evaluations, weighted, and measure the sum.

    \b
    [bold]Examples[/bold]
      bike fuse results/video/4x3 results/attributes --out results/fuse/4x3
      bike fuse results/video/4x3 results/attributes --video-weight 0.5 --out results/fuse-half/4x3
    """
    from bike.evaluate.results import summary_line
    from bike.evaluate.run_fuse import fuse_results
    from bike.params import Fuse, load_params

    section = load_params(params).fuse if params is not None else Fuse()
    weight = section.video_weight if video_weight is None else video_weight
    metrics = fuse_results(video, attributes, out, video_weight=weight)
    typer.echo(f"{out}: {summary_line(metrics)}")
