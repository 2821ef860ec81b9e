"""``bike train``: the video branch, or the attribute branch with ``--attributes``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bike.commands import options
from bike.commands.common import DryRunOption, answer
from bike.commands.given import one_list


def train(
    train_list: Annotated[
        Path,
        typer.Option("--train", help="List of training samples, CSV or published.", callback=one_list),
    ],
    out: Annotated[Path, typer.Option(help="Checkpoint to write, such as models/video.pt.")],
    shards: options.MaybeFramesOption = None,
    labels: options.LabelsOption = None,
    params: options.ParamsOption = Path("params.yaml"),
    setting: options.SetOption = None,
    val: Annotated[
        Path | None,
        typer.Option(help="List of validation samples.", callback=one_list),
    ] = None,
    val_shards: Annotated[
        Path | None, typer.Option("--val-shards", "--val-frames", help="Their frames. Default: those of --shards.")
    ] = None,
    attributes: options.CorpusOption = None,
    temporal: options.TemporalOption = None,
    interaction: options.InteractionOption = None,
    allow_mismatch: options.AllowOption = None,
    state: options.TrainStateOption = None,
    fresh: options.FreshOption = False,
    live: options.LiveOption = None,
    decoder: options.DecoderOption = "pyav",
    follow_links: options.FollowLinksOption = False,
    device: options.DeviceOption = None,
    workers: options.WorkersOption = 2,
    replace: options.ReplaceOption = False,
    dry_run: DryRunOption = False,
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
    from bike.files import existing_file
    from bike.records import labels_of
    from bike.runtime.checkpoint import Place

    labels = labels_of(existing_file(train_list), labels)
    place = Place(
        device=device, workers=workers, state_dir=state, fresh=fresh, live_dir=live, follow_links=follow_links
    )
    if attributes is not None and dry_run:
        raise BikeError("--dry-run, --attributes: the attribute branch takes seconds. Leave one out.")
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
            dry_run=dry_run,
        )
    if (step := done.rehearsed) is not None:
        from bike.project.takes import hours_text

        hours = step.seconds * step.steps * settings.train.epochs / 3600
        typer.echo(
            f"a step: {step.seconds:.3g} s, {step.bytes / 1e9:.2f} GB; {settings.train.epochs} epochs of {step.steps} "
            f"steps: {hours_text(hours)} without validation. Nothing was written."
        )
        return
    loss, top1 = done.latest("train/loss"), done.latest("val/top1")
    words = [f"loss {loss:.4g}"] if loss is not None else []
    words += [f"validation top-1 {top1:.1f} %"] if top1 is not None else []
    if words:  # on rank 0
        answer({}, [f"{done.checkpoint}: {', '.join(words)}"], then=_next(out, val, val_shards or shards, attributes))


def _next(out: Path, val: Path | None, frames: Path | None, corpus: Path | None) -> tuple[object, ...]:
    """Scoring the validation list: where the test list and its frames lie can't be seen from here."""
    inputs = ("--shards", frames if val else "SHARDS") if corpus is None else ("--attributes", corpus)
    return ("eval", "--checkpoint", out, "--list", val or "TEST.csv", *inputs, "--out", f"results/{out.stem}/1x1")
