"""``bike zeroshot``: CLIP as it is, or a checkpoint on classes it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def zeroshot(
    samples: Annotated[Path, typer.Option("--list", help="List of samples.")],
    frames: Annotated[
        Path, typer.Option("--shards", "--frames", help="Shards, frame packs or frame folders of the list.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for metrics and scores.")],
    weights: Annotated[
        str | None, typer.Option(help="CLIP's weights: official name or file; left out: model.weights.")
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Trained video branch, in place of --weights.")] = None,
    split: Annotated[
        list[Path] | None, typer.Option(help="Class names of one split, one on a line; may stand several times.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Class names, CSV id,name; left out: labels.csv beside the list.")
    ] = None,
    params: Annotated[Path, typer.Option(help="Params file; sections model, evaluate and zeroshot are read.")] = Path(
        "params.yaml"
    ),
    views: Annotated[str, typer.Option(help="Clips x crops such as 4x3, or a name in evaluate.views.")] = "1x1",
    state: Annotated[Path | None, typer.Option(help="Folder of finished videos; left out: beside OUT.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N; left out: a GPU where there is one.")] = None,
) -> None:
    """Score videos of classes that were not trained on: all classes, random halves, given splits.

    \b
    [bold]Examples[/bold]
      bike zeroshot --list lists/x/test.csv --shards shards/test --out results/zeroshot/1x1
      bike zeroshot --checkpoint k400.pt --list k600.csv --shards k600 --labels k600-labels.csv --out results/k600 \\
        --split split1.txt --split split2.txt --split split3.txt
    """
    from bike.errors import BikeError
    from bike.evaluate.results import summary_line
    from bike.evaluate.run_zeroshot import evaluate_zeroshot
    from bike.evaluate.views import choose_views
    from bike.params import load_params_or_defaults
    from bike.records import labels_of

    if weights is not None and checkpoint is not None:
        raise BikeError("--weights, --checkpoint: both are given; give one.")
    settings = load_params_or_defaults(params)
    metrics = evaluate_zeroshot(
        settings,
        samples=samples,
        frames=frames,
        labels=labels_of(samples, labels),
        out=out,
        views=choose_views(settings.evaluate, views),
        weights=weights,
        checkpoint=checkpoint,
        class_splits=split or [],
        state_dir=state,
        device=device,
    )
    if metrics:
        typer.echo(f"{out}: {summary_line(metrics)}")
