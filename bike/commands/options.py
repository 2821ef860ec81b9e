"""Options that several commands share, each with one name, one help text and one variable."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ParamsOption = Annotated[
    Path, typer.Option("--params", help="Params file; without one here, the published settings hold.")
]
ListOption = Annotated[
    Path, typer.Option("--list", help="List CSV, manifest.csv, or published-style `<dir> <frames> <label>`.")
]
_FRAMES = typer.Option("--shards", "--frames", help="Shards, frame packs or frame folders of the list.")
FramesOption = Annotated[Path, _FRAMES]
MaybeFramesOption = Annotated[Path | None, _FRAMES]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--labels", help="Class names, CSV id,name; left out: labels.csv beside the list.", show_default=False
    ),
]
ResultsOption = Annotated[Path, typer.Option("--out", help="Folder for metrics and scores.")]
ViewsOption = Annotated[
    str, typer.Option("--views", help="Clips x crops such as 4x3, or a name in evaluate.views; crops: 1, 3, 5 or 10.")
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights", help="CLIP's weights: official name or file; left out: model.weights.", show_default=False
    ),
]
StateOption = Annotated[
    Path | None,
    typer.Option("--state", help="Folder of finished work to go on from; left out: beside OUT.", show_default=False),
]
LiveOption = Annotated[
    Path | None, typer.Option("--live", help="Folder of the training curves (DVCLive).", show_default=False)
]
DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        envvar="BIKE_DEVICE",
        help="cpu, cuda or cuda:N; left out: a GPU where there is one.",
        show_default=False,
    ),
]
WorkersOption = Annotated[
    int,
    typer.Option("--workers", envvar="BIKE_WORKERS", min=0, help="Processes that load frames; 0: none beside this."),
]
DecoderOption = Annotated[
    str, typer.Option("--decoder", help="Of video files, also of those in shards: pyav or decord.")
]
