"""``bike predict``: recognise your own videos, with your own class names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bike.commands import options
from bike.errors import one_line

if TYPE_CHECKING:
    from bike.predict import FrameWeight, Prediction, Window

BARS = " ▁▂▃▄▅▆▇█"
CURVE_COLUMNS = 40  # of a class over time, at most
OTHER_COLUMNS = 40  # of a terminal for names and numbers beside it
STDOUT = Path("-")


def predict(
    videos: Annotated[
        list[Path],
        typer.Argument(
            metavar="VIDEO", help="Videos of any format, folders, lists (.txt, .csv), or - for paths on standard input."
        ),
    ],
    checkpoint: options.CheckpointOption = None,
    weights: options.WeightsOption = None,
    labels: Annotated[Path | None, typer.Option(help="Class names, CSV id,name; left out: the checkpoint's.")] = None,
    classes: Annotated[str | None, typer.Option(help="Class names, separated by commas.")] = None,
    params: options.MaybeParamsOption = None,
    setting: options.SetOption = None,
    views: options.ViewsOption = "1x1",
    start: Annotated[float | None, typer.Option(help="Where to begin, seconds.", show_default=False)] = None,
    end: Annotated[float | None, typer.Option(help="Where to end, seconds.", show_default=False)] = None,
    window: Annotated[
        float | None, typer.Option(help="Slide a window of so many seconds over each video.", show_default=False)
    ] = None,
    stride: Annotated[
        float | None,
        typer.Option(help="Seconds from window to window; left out: one after the other.", show_default=False),
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Guesses shown for each video.")] = 5,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Also write everything to this file; .jsonl: a line as each comes; -: on stdout."),
    ] = None,
    saliency: Annotated[
        bool, typer.Option("--saliency", help="Show how much each frame counted; of windows, see --json.")
    ] = False,
    save: Annotated[
        Path | None, typer.Option(help="Picture of the frames that were looked at, of one video.", show_default=False)
    ] = None,
    render: Annotated[
        Path | None, typer.Option(help="MP4 of one video with guesses and saliency drawn in.", show_default=False)
    ] = None,
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
      bike predict film.mp4 --checkpoint work/model.pt --window 4 --stride 2 --render seen.mp4
      bike predict videos/ --checkpoint work/model.pt --json - > found.jsonl
    """
    import json
    from contextlib import ExitStack

    from bike.errors import BikeError
    from bike.progress import log

    if labels is not None and classes is not None:
        raise BikeError("--labels, --classes: both are given; give one.")
    if weights is not None and checkpoint is not None:
        raise BikeError("--weights, --checkpoint: both are given; give one.")
    if save is not None and window is not None:
        raise BikeError("--save, --window: both are given; give one, or --render.")
    if STDOUT in (save, render):
        raise BikeError("--save, --render: go to files (got -). Name one.")
    settings = options.read_params(params, setting, allow_mismatch, out=json_file)
    # All that can be refused without torch comes first.
    from bike.files import atomic_write, claim_file, write_json
    from bike.predict.inputs import check_classes, check_model, named_videos
    from bike.predict.windows import check_part
    from bike.records import read_labels
    from bike.video.decode import check_decoder

    check_decoder(decoder)
    check_part(start, end, window, stride)
    found = named_videos(videos)
    if len(found) > 1 and (save is not None or render is not None):
        raise BikeError(f"--save, --render: of one video (got {len(found)}). Name one.")
    check_model(checkpoint, weights)
    names = None if classes is None else [name.strip() for name in classes.split(",")]
    if labels is not None:
        names = read_labels(labels)
    check_classes(checkpoint or weights or settings.model.start_from or settings.model.weights, names)
    outs = [out for out in (json_file, save, render) if out is not None and out != STDOUT]
    if len({out.resolve() for out in outs}) < len(outs):
        raise BikeError("--json, --save, --render: two name one file. Name another.")
    inputs = [*videos, *(video.file.path for video in found), checkpoint, weights, labels, params]
    with ExitStack() as held:
        for out in outs:
            held.enter_context(claim_file(out, inputs=inputs, replace=replace))
        from bike.evaluate.views import choose_views
        from bike.predict import plot_saliency, predict_videos
        from bike.predict.draw import render_video

        errors, rows = [], []
        predictions = predict_videos(
            settings,
            found,
            names,
            checkpoint=checkpoint,
            weights=weights,
            views=choose_views(settings.evaluate, views),
            top_k=top_k,
            start=start,
            end=end,
            window=window,
            stride=stride,
            timeout_seconds=timeout,
            decoder=decoder,
            device=device,
        )
        line_by_line = json_file is not None and (json_file == STDOUT or json_file.suffix.lower() == ".jsonl")
        for done, prediction in enumerate(predictions):
            rows.append(prediction.as_json())
            if json_file is not None and line_by_line:
                _add_line(json_file, json.dumps(rows.pop(), allow_nan=False), first=done == 0)
            if prediction.error:
                errors.append(prediction.error)
                if len(found) > 1:
                    log.error("%s", prediction.error)
                continue
            if json_file != STDOUT:
                _show(prediction, saliency=saliency)
            if save is not None:
                with atomic_write(save) as file:
                    plot_saliency(prediction, found[0].file).save(file, "PNG")
            if render is not None:
                render_video(prediction, found[0].file, render, start=start, end=end, timeout_seconds=timeout)
        if json_file is not None and not line_by_line:
            write_json(json_file, rows)
    if errors:
        raise BikeError(errors[0] if len(found) == 1 else f"{len(errors)} of {len(found)} videos failed; see above.")


def _add_line(file: Path, line: str, *, first: bool) -> None:
    """One more answer, for those who read along; the first takes the place of an earlier file."""
    from bike.files import atomic_write, open_write, unwritable

    if file == STDOUT:
        typer.echo(line)
        return
    try:
        with atomic_write(file, "w") if first else open_write(file, "a") as lines:
            lines.write(f"{line}\n")
    except OSError as error:
        raise unwritable(file, error) from error


def _show(prediction: Prediction, *, saliency: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(Text(f"{one_line(prediction.video)}: {prediction.frames} frames, {prediction.seconds:.1f} s"))
    table = Table("class", "probability")
    table.columns[1].justify = "right"
    timeline = prediction.timeline
    if timeline:
        table.add_column(f"{timeline[0].start:.1f} s to {timeline[-1].end:.1f} s", no_wrap=True)
    columns = max(1, min(CURVE_COLUMNS, console.width - OTHER_COLUMNS))
    for guess in prediction.guesses:
        curve = [Text(_curve(timeline, guess.label, columns))] if timeline else []
        table.add_row(Text(one_line(guess.name)), f"{100 * guess.probability:.1f} %", *curve)
    console.print(table)
    if saliency and not timeline:
        console.print(Text(_saliency_line(prediction.saliency)))


def _curve(timeline: Sequence[Window], label: int, columns: int) -> str:
    """How probable a class is in each window, from 0 to 1; neighbours share a column where there are many."""
    values = [next((guess.probability for guess in w.guesses if guess.label == label), 0.0) for w in timeline]
    columns = min(columns, len(values))
    edges = [len(values) * column // columns for column in range(columns + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    return "".join(BARS[round(8 * mean)] for mean in means)


def _saliency_line(weights: Sequence[FrameWeight]) -> str:
    if not weights:
        return "all frames counted alike: this model weighs none (interaction dp)"
    highest = max(item.weight for item in weights)
    bars = "".join(BARS[round(8 * item.weight / highest)] for item in weights)
    return f"frames from {weights[0].seconds:.1f} s to {weights[-1].seconds:.1f} s counted: {bars}"
