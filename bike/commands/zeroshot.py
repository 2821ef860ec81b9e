"""``bike zeroshot``: CLIP as it is, or a checkpoint on classes it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bike.commands import options
from bike.commands.common import JsonOption, answer_metrics


def zeroshot(
    samples: options.ListOption,
    frames: options.FramesOption,
    out: options.ResultsOption,
    weights: options.WeightsOption = None,
    checkpoint: options.CheckpointOption = None,
    split: Annotated[
        list[Path] | None, typer.Option(help="Class names of one split, one a line. May be given again.")
    ] = None,
    labels: options.LabelsOption = None,
    params: options.ParamsOption = Path("params.yaml"),
    setting: options.SetOption = None,
    views: options.ViewsOption = "1x1",
    allow_mismatch: options.AllowOption = None,
    state: options.StateOption = None,
    decoder: options.DecoderOption = "pyav",
    follow_links: options.FollowLinksOption = False,
    device: options.DeviceOption = None,
    workers: options.WorkersOption = 2,
    part: options.PartOption = None,
    merge: options.MergeOption = False,
    replace: options.ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score videos of classes that were not trained on: all classes, random halves, given splits.

    \b
    [bold]Examples[/bold]
      bike zeroshot --list lists/x/test.csv --shards shards/test --out results/zeroshot/1x1
      bike zeroshot --checkpoint k400.pt --list k600.csv --shards k600 --labels k600-labels.csv --out results/k600 \\
        --split split1.txt --split split2.txt --split split3.txt
    """
    from bike.errors import BikeError

    if weights is not None and checkpoint is not None:
        raise BikeError("--weights, --checkpoint: both are given; give one.")
    settings = options.read_params(params, setting, allow_mismatch, out=out)
    from bike.evaluate.run_zeroshot import evaluate_zeroshot
    from bike.evaluate.views import choose_views
    from bike.files import existing_file
    from bike.records import labels_of

    metrics = evaluate_zeroshot(
        settings,
        samples=samples,
        frames=frames,
        labels=labels_of(existing_file(samples), labels),
        out=out,
        views=choose_views(settings.evaluate, views),
        weights=weights,
        checkpoint=checkpoint,
        class_splits=split or [],
        decoder=decoder,
        place=options.place_of(device, workers, state, part, merge, follow_links),
        replace=replace,
    )
    if metrics:
        answer_metrics(out, metrics, as_json=as_json)
