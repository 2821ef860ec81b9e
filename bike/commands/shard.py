"""``bike shard``: frame packs to tar shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bike.commands.common import DryRunOption, JsonOption, answer, answer_foreseen
from bike.commands.given import one_list
from bike.commands.options import (
    FollowLinksOption,
    FramesPerVideoOption,
    JobsOption,
    LabelsOption,
    MergeOption,
    PartOption,
    ReplaceOption,
    SchedulerOption,
    SetOption,
    params_with,
    split_of,
)


def shard(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC", help="List CSV, published-style list, or manifest.csv; with --verify a folder of shards."
        ),
    ],
    destination: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="Folder for the shards.", show_default=False)
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(help="Frame packs or frame folders. Default: SRC's folder, for manifest.csv.", show_default=False),
    ] = None,
    setting: SetOption = None,
    max_size: Annotated[str | None, typer.Option(help="Largest shard, such as 512MB or 2GB. Default: 512MB.")] = None,
    frames_per_video: FramesPerVideoOption = None,
    payload: Annotated[
        Literal["mjpg", "mp4"] | None,
        typer.Option(help="mjpg: frames; mp4: the video files of --media as they are. Default: mjpg."),
    ] = None,
    media: Annotated[
        Path | None,
        typer.Option(help="Folder, list or tar of the source videos, for --payload mp4.", show_default=False),
    ] = None,
    follow_links: FollowLinksOption = False,
    manifest: Annotated[
        Path | None,
        typer.Option(help="What extraction wrote. Default: manifest.csv in the frames folder.", show_default=False),
    ] = None,
    labels: LabelsOption = None,
    fps: Annotated[
        float | None,
        typer.Option(min=0.001, help="Rate of published-style frame folders, which do not say it.", show_default=False),
    ] = None,
    jobs: JobsOption = None,
    scheduler: SchedulerOption = None,
    part: PartOption = None,
    merge: MergeOption = False,
    replace: ReplaceOption = False,
    verify: Annotated[bool, typer.Option("--verify", help="Check every byte of the shards in SRC.")] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the videos of a list into WebDataset tars with an index, or check such tars.

    The same list and frames give the same bytes. Run again after an interruption or a change: only the shards that
    differ are written.

    \b
    [bold]Examples[/bold]
      bike shard lists/ucf101/train.csv shards/ucf101/train --frames frames/ucf101
      bike shard frames/manifest.csv shards/all --max-size 1GB --frames-per-video 32
      bike shard lists/ucf101/train.csv shards/ucf101/train --frames frames/ucf101 --part 3/64
      bike shard shards/ucf101/train --verify
    """
    from dataclasses import asdict

    from bike.errors import ParamsError
    from bike.frames.remote import remote_url

    options = params_with(
        None,
        setting,
        "shard",
        max_size_mb=None if max_size is None else read_size_mb(max_size),
        frames_per_video=frames_per_video,
        payload=payload,
    ).shard
    if remote_url(destination or source):
        raise ParamsError(
            f"{destination or source}: shards are written and checked in a folder. Copy them from or to it."
        )
    if verify and destination is not None:
        raise ParamsError(f"{destination}: --verify takes one folder, of shards.")
    if verify:
        from bike.shard.verify import verify_shards

        checked = verify_shards(source, jobs=jobs)
        whole = f"{checked.shards} shards, {checked.videos} videos, {checked.bytes / 1e6:.1f} MB: all right"
        answer({"folder": source, **asdict(checked)}, [f"{source}: {whole}"], as_json=as_json)
        return
    from bike.records import read_labels
    from bike.shard.jobs import foresee_shards, plan_jobs
    from bike.shard.run import write_shards

    if destination is None:
        raise ParamsError("OUT: missing; the folder for the shards is needed.")
    if frames is None and source.name != "manifest.csv":
        raise ParamsError("--frames: missing; give the folder that `bike extract` wrote.")
    place = one_list(source), frames if frames is not None else source.parent, destination
    planning: dict[str, Any] = {
        "manifest": manifest if manifest is not None or source.name != "manifest.csv" else source,
        "names": None if labels is None else read_labels(labels),
        "max_size_mb": options.max_size_mb,
        "frames_per_video": options.frames_per_video,
        "payload": options.payload,
        "media": media,
        "follow_links": follow_links,
        "fps": fps,
    }
    if dry_run:
        from bike.project.takes import SHARD_SPEED

        if part is not None or merge:
            raise ParamsError("--dry-run: tells of the whole. Leave --part and --merge out.")
        found = asdict(foresee_shards(plan_jobs(*place, **planning), destination, replace=replace))
        answer_foreseen(found | {"hours": found["bytes"] / SHARD_SPEED / 3600}, "shards", as_json=as_json)
        return
    split = split_of(part, merge)
    summary = write_shards(*place, **planning, jobs=jobs, replace=replace, scheduler=scheduler, split=split)
    counts = f"{summary.shards} shards ({summary.written} written), {summary.videos} videos, {summary.samples} samples"
    lines = [f"{destination}: {counts}, {summary.bytes / 1e6:.1f} MB"]
    answer({"folder": destination, **asdict(summary)}, lines, as_json=as_json, then=_next(source, destination, part))


def _next(samples: Path, shards: Path, part: str | None) -> tuple[object, ...]:
    if part is not None or samples.name == "manifest.csv":  # a manifest has no labels to learn
        return ()
    if samples.stem in ("val", "test"):
        out = f"results/MODEL/{samples.stem}"
        return ("eval", "--checkpoint", "MODEL.pt", "--list", samples, "--shards", shards, "--out", out)
    return ("train", "--train", samples, "--shards", shards, "--out", "models/MODEL.pt")


def read_size_mb(text: str) -> float:
    """Megabytes in ``512MB``, ``2GB``, ``800kB`` or a plain number of MB."""
    from bike.errors import ParamsError

    units = {"kb": 1e-3, "mb": 1.0, "gb": 1e3, "tb": 1e6}
    number, unit = text.strip(), 1.0
    if number[-2:].lower() in units:
        number, unit = number[:-2], units[number[-2:].lower()]
    try:
        size = float(number) * unit
    except ValueError:
        size = 0.0
    if not 0 < size < 1e9:
        raise ParamsError(f"--max-size: not a size (got {text!r}); a number with kB, MB or GB is allowed.")
    return size
