"""``bike train``: the video branch, or the attribute branch with ``--attributes``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bike.commands import options


def train(
    train_list: Annotated[Path, typer.Option("--train", help="List of training samples (CSV or published-style).")],
    out: Annotated[Path, typer.Option(help="Checkpoint to write, such as models/video.pt.")],
    shards: options.MaybeFramesOption = None,
    labels: options.LabelsOption = None,
    params: options.ParamsOption = Path("params.yaml"),
    setting: options.SetOption = None,
    val: Annotated[Path | None, typer.Option(help="List of validation samples.")] = None,
    val_shards: Annotated[
        Path | None, typer.Option("--val-shards", "--val-frames", help="Their frames; left out: those of --shards.")
    ] = None,
    attributes: options.CorpusOption = None,
    temporal: Annotated[str | None, typer.Option(help="Temporal head: none or transf.")] = None,
    interaction: Annotated[str | None, typer.Option(help="Interaction with the text: dp or vcs.")] = None,
    allow_mismatch: options.AllowOption = None,
    state: options.TrainStateOption = None,
    fresh: options.FreshOption = False,
    live: options.LiveOption = None,
    decoder: options.DecoderOption = "pyav",
    follow_links: options.FollowLinksOption = False,
    device: options.DeviceOption = None,
    workers: options.WorkersOption = 2,
    replace: options.ReplaceOption = False,
) -> None:
    """Fine-tune CLIP on videos, or train the attribute branch.

    Stopped in any way, the same command goes on where it was; with other settings it says which, and ends. With
    torchrun it uses all processes, for the same result.

    \b
    [bold]Examples[/bold]
      bike train --train lists/x/train.csv --shards shards/train --out models/x.pt
      bike train --train lists/x/train.csv --attributes attributes.json --out models/a.pt
      torchrun --nproc-per-node 8 -m bike.cli train --params configs/k400.yaml --train … --out models/k400.pt
    """
    settings = options.read_params(params, setting, allow_mismatch, out=out)
    from bike.errors import BikeError
    from bike.records import labels_of
    from bike.runtime.checkpoint import Place

    labels = labels_of(train_list, labels)
    place = Place(
        device=device, workers=workers, state_dir=state, fresh=fresh, live_dir=live, follow_links=follow_links
    )
    if attributes is not None:
        from bike.train.run_attributes import train_attributes

        done = train_attributes(
            settings,
            train_list=train_list,
            corpus=attributes,
            labels=labels,
            out=out,
            val_list=val,
            place=place,
            replace=replace,
        )
    else:
        from bike.train.run_video import train_video

        if shards is None:
            raise BikeError("--shards: missing; name the folder of the list's frames (or give --attributes).")
        done = train_video(
            settings,
            train_list=train_list,
            train_frames=shards,
            labels=labels,
            out=out,
            val_list=val,
            val_frames=val_shards or shards,
            temporal=temporal,
            interaction=interaction,
            decoder=decoder,
            place=place,
            replace=replace,
        )
    loss, top1 = done.latest("train/loss"), done.latest("val/top1")
    words = [f"loss {loss:.4g}"] if loss is not None else []
    words += [f"validation top-1 {top1:.1f} %"] if top1 is not None else []
    if words:  # on rank 0
        typer.echo(f"{done.checkpoint}: {', '.join(words)}")
