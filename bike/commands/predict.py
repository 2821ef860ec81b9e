"""``bike predict``: recognise your own videos, with your own class names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bike.commands import options
from bike.errors import one_line

if TYPE_CHECKING:
    from bike.predict import Prediction

BARS = " ▁▂▃▄▅▆▇█"


def predict(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO", help="Video files of any format.")],
    checkpoint: options.CheckpointOption = None,
    weights: options.WeightsOption = None,
    labels: Annotated[Path | None, typer.Option(help="Class names, CSV id,name; left out: the checkpoint's.")] = None,
    classes: Annotated[str | None, typer.Option(help="Class names, separated by commas.")] = None,
    params: options.MaybeParamsOption = None,
    setting: options.SetOption = None,
    views: options.ViewsOption = "1x1",
    top_k: Annotated[int, typer.Option(min=1, help="Guesses shown for each video.")] = 5,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write everything to this file.")] = None,
    saliency: Annotated[bool, typer.Option("--saliency", help="Show how much each frame counted.")] = False,
    allow_mismatch: options.AllowOption = None,
    timeout: options.TimeoutOption = 60.0,
    decoder: options.DecoderOption = "pyav",
    device: options.DeviceOption = None,
    replace: options.ReplaceOption = False,
) -> None:
    """Recognise videos of any kind, with any class names.

    \b
    [bold]Examples[/bold]
      bike predict new.mp4 --checkpoint work/model.pt
      bike predict holiday.mp4 --checkpoint models/k400.pt --labels lists/kinetics400/labels.csv
      bike predict *.mov --weights ViT-B/16 --classes "a dog,a cat,something else" --saliency
    """
    from contextlib import nullcontext

    from bike.errors import BikeError

    if labels is not None and classes is not None:
        raise BikeError("--labels, --classes: both are given; give one.")
    if weights is not None and checkpoint is not None:
        raise BikeError("--weights, --checkpoint: both are given; give one.")
    settings = options.read_params(params, setting, allow_mismatch, out=json_file)
    from bike.evaluate.views import choose_views
    from bike.files import claim_file, write_json
    from bike.predict import predict_videos
    from bike.records import read_labels

    names = None if classes is None else [name.strip() for name in classes.split(",")]
    if labels is not None:
        names = read_labels(labels)
    inputs = [*videos, checkpoint, weights, labels, params]
    found = []
    with nullcontext() if json_file is None else claim_file(json_file, inputs=inputs, replace=replace):
        for prediction in predict_videos(
            settings,
            videos,
            names,
            checkpoint=checkpoint,
            weights=weights,
            views=choose_views(settings.evaluate, views),
            top_k=top_k,
            timeout_seconds=timeout,
            decoder=decoder,
            device=device,
        ):
            found.append(prediction)
            _show(prediction, saliency=saliency)
        if json_file is not None:
            write_json(json_file, [prediction.as_json() for prediction in found])
    failed = [prediction for prediction in found if prediction.error]
    if failed:
        rest = f" ({len(failed)} of {len(found)} videos failed)" if len(found) > 1 else ""
        raise BikeError(f"{failed[0].error}{rest}")


def _show(prediction: Prediction, *, saliency: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if prediction.error:
        return
    console = Console()
    console.print(Text(f"{one_line(prediction.video)}: {prediction.frames} frames, {prediction.seconds:.1f} s"))
    table = Table("class", "probability")
    table.columns[1].justify = "right"
    for guess in prediction.guesses:
        table.add_row(Text(one_line(guess.name)), f"{100 * guess.probability:.1f} %")
    console.print(table)
    if saliency:
        highest = max(item.weight for item in prediction.saliency)
        bars = "".join(BARS[round(8 * item.weight / highest)] for item in prediction.saliency)
        first, last = prediction.saliency[0].seconds, prediction.saliency[-1].seconds
        console.print(Text(f"frames from {first:.1f} s to {last:.1f} s counted: {bars}"))
