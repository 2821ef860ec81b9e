"""``bike fuse``: the video branch and the attribute branch together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bike.commands.common import JsonOption, answer_metrics
from bike.commands.options import MaybeParamsOption, ReplaceOption, ResultsOption, SetOption, params_with


def fuse(
    video: Annotated[
        Path, typer.Argument(metavar="VIDEO", help="Results folder of the video branch (or its scores.safetensors).")
    ],
    attributes: Annotated[
        Path, typer.Argument(metavar="ATTRIBUTES", help="Results folder of the attribute branch, same videos.")
    ],
    out: ResultsOption,
    params: MaybeParamsOption = None,
    setting: SetOption = None,
    video_weight: Annotated[
        float | None, typer.Option(min=0, max=1, help="Weight of the video branch. Default: that of the params file.")
    ] = None,
    replace: ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Add the scores of two finished evaluations, weighted, and measure the sum.

    \b
    [bold]Examples[/bold]
      bike fuse results/video/4x3 results/attributes --out results/fuse/4x3
      bike fuse results/video/4x3 results/attributes --video-weight 0.5 --out results/fuse-half/4x3
    """
    section = params_with(params, setting, "fuse", video_weight=video_weight).fuse
    from bike.evaluate.run_fuse import fuse_results

    metrics = fuse_results(video, attributes, out, video_weight=section.video_weight, replace=replace)
    answer_metrics(out, metrics, as_json=as_json)
