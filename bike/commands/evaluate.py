"""``bike eval``: multi-view evaluation of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bike.commands import options
from bike.commands.common import JsonOption, answer_metrics


def _one_of_them(context: typer.Context, bare: Path | None) -> Path | None:
    """The checkpoint may stand without its option. A callback, so that `bike slurm` asks for it at once."""
    from bike.errors import ParamsError

    if (bare is None) == (context.params.get("checkpoint") is None):
        found = "missing" if bare is None else "two are given"
        raise ParamsError(f"--checkpoint: {found}; name one model.")
    return bare


def evaluate(
    samples: options.ListOption,
    out: options.ResultsOption,
    checkpoint: Annotated[Path | None, typer.Option(help="Of a video branch, or of an attribute branch.")] = None,
    bare: Annotated[Path | None, typer.Argument(metavar="CHECKPOINT", hidden=True, callback=_one_of_them)] = None,
    frames: options.MaybeFramesOption = None,
    labels: options.LabelsOption = None,
    params: options.ParamsOption = Path("params.yaml"),
    setting: options.SetOption = None,
    views: options.ViewsOption = "1x1",
    attributes: options.CorpusOption = None,
    temporal: options.TemporalOption = None,
    interaction: options.InteractionOption = None,
    published_map: Annotated[
        int | None, typer.Option(min=1, help="Also the published running mean of mAP, for batches of so many videos.")
    ] = None,
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
    """Score a list of videos: accuracy, mAP, per-class results, confusions, predictions and scores.

    Stopped in any way, the same command goes on where it was. With torchrun it uses all processes.

    \b
    [bold]Examples[/bold]
      bike eval --checkpoint models/x.pt --list lists/x/test.csv --shards shards/test --out results/x/1x1
      bike eval --checkpoint released.pt --list list.txt --frames frames --labels labels.csv --views 4x3 \\
        --out results/released/4x3
      bike eval --checkpoint models/a.pt --list lists/x/test.csv --attributes attributes.json --out results/a
    """
    settings = options.read_params(params, setting, allow_mismatch, out=out)
    from bike.errors import BikeError
    from bike.evaluate.run_attributes import evaluate_attributes
    from bike.evaluate.run_video import evaluate_video
    from bike.evaluate.views import choose_views
    from bike.files import existing_file
    from bike.records import labels_of

    place = options.place_of(device, workers, state, part, merge, follow_links)
    shared: dict[str, Any] = {"checkpoint": checkpoint or bare, "samples": samples}
    shared |= {"labels": labels_of(existing_file(samples), labels), "out": out, "replace": replace, "place": place}
    for_frames: dict[str, object] = {
        "--temporal": temporal,
        "--interaction": interaction,
        "--published-map": published_map,
    }
    for_frames |= {"--shards": frames, "--views": None if views == "1x1" else views}
    given = [name for name, value in for_frames.items() if value is not None]
    if attributes is not None and given:
        raise BikeError(f"--attributes, {', '.join(given)}: the attribute branch sees no frames. Leave one out.")
    if attributes is not None and place.split is not None:
        raise BikeError("--part, --merge: scores from attributes take seconds. Leave both out.")
    if attributes is not None:
        metrics = evaluate_attributes(settings, corpus=attributes, **shared)
    elif frames is None:
        raise BikeError("--shards: missing; name the folder of the list's frames (or give --attributes).")
    else:
        metrics = evaluate_video(
            settings,
            frames=frames,
            views=choose_views(settings.evaluate, views),
            temporal=temporal,
            interaction=interaction,
            published_map_batch=published_map,
            decoder=decoder,
            **shared,
        )
    if metrics:
        answer_metrics(out, metrics, as_json=as_json)
