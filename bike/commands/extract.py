"""``bike extract``: videos to frame packs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bike.commands.common import DryRunOption, JsonOption, answer, answer_foreseen
from bike.commands.given import one_list
from bike.commands.options import (
    FollowLinksOption,
    FramesPerVideoOption,
    JobsOption,
    MergeOption,
    PartOption,
    ReplaceOption,
    SchedulerOption,
    SetOption,
    params_with,
    split_of,
)


def extract(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC", help="Folder of videos (searched through), tar, text list, or CSV with a [b]path[/b] column."
        ),
    ],
    destination: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the frames and manifest.csv.")],
    listing: Annotated[
        Path | None,
        typer.Option(
            "--list", help="List or CSV that picks among the videos of SRC.", show_default=False, callback=one_list
        ),
    ] = None,
    setting: SetOption = None,
    short_side: Annotated[
        int | None,
        typer.Option(
            min=16, max=4096, help="Shrink the shorter side to this many pixels; never enlarge. Default: 256."
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(min=0.001, max=240, help="Resample to this rate. Default: every frame.", show_default=False),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(min=1, max=31, help="JPEG quality on ffmpeg's scale: 1 best, 31 worst. Default: 2."),
    ] = None,
    frames_per_video: FramesPerVideoOption = None,
    jobs: JobsOption = None,
    layout: Annotated[
        Literal["packs", "folders"], typer.Option(help="packs: KEY.mjpg; folders: KEY/img_00001.jpg and so on.")
    ] = "packs",
    scheduler: SchedulerOption = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds that decoding a video may take. Default: 60.")
    ] = None,
    backend: Annotated[
        Literal["pyav", "ffmpeg"] | None,
        typer.Option(help="pyav, or one ffmpeg process per video; both give the same frames in number. Default: pyav."),
    ] = None,
    keep_partial: Annotated[
        bool | None, typer.Option("--keep-partial", help="Keep the sound beginning of a damaged or truncated video.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with status 3 when any video is rejected.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Extract nothing: read all of SRC and OUT and compare with the manifest.")
    ] = False,
    follow_links: FollowLinksOption = False,
    part: PartOption = None,
    merge: MergeOption = False,
    replace: ReplaceOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn videos into frame packs, in parallel; rejects carry a reason.

    The frames of a video go into OUT/KEY.mjpg, JPEGs end to end; OUT/manifest.csv, one row a video, is written last.
    Run the same command again to go on after a stop; a finished run does nothing. Frames that were made with other
    options are thrown away only with --replace.

    Pictures are upright, of square pixels, plain 8-bit JPEG; every decoded frame is kept, none repeated, unless --fps
    or --frames-per-video is given. HDR is not tone-mapped. With --frames-per-video all frames are decoded and counted;
    what is drawn later and not there gives way to the nearest that is.

    \b
    [bold]Examples[/bold]
      bike extract videos/ frames/
      bike extract videos/ frames/ --list train.csv --short-side 320 --strict
      bike extract shards/ frames/ --fps 8 --keep-partial
      bike extract videos/ frames/ --frames-per-video 32
      bike extract videos/ frames/ --part 3/64
      bike extract videos/ frames/ --merge
      bike extract videos/ frames/ --verify
    """
    from bike.errors import ParamsError

    options = params_with(
        None,
        setting,
        "extract",
        short_side=short_side,
        fps=fps,
        quality=quality,
        timeout_seconds=timeout,
        backend=backend,
        keep_partial=keep_partial,
        frames_per_video=frames_per_video,
    ).extract
    if verify:
        _verify(source, destination, listing, jobs, follow_links=follow_links, as_json=as_json)
        return
    if dry_run:
        from dataclasses import asdict

        from bike.project.dry_run import foresee_extraction

        if part is not None or merge:
            raise ParamsError("--dry-run: tells of the whole. Leave --part and --merge out.")
        found = foresee_extraction(
            source,
            destination,
            listing=listing,
            options=options,
            layout=layout,
            follow_links=follow_links,
            replace=replace,
        )
        answer_foreseen(asdict(found), "videos", as_json=as_json)
        return
    from bike.extract.run import extract_videos
    from bike.files.names import shown

    records = extract_videos(
        source,
        destination,
        listing=listing,
        options=options,
        jobs=jobs,
        layout=layout,
        scheduler=scheduler,
        follow_links=follow_links,
        replace=replace,
        split=split_of(part, merge),
    )
    bad = [record for record in records if record.status != "ok"]
    good = [record for record in records if record.status == "ok"]
    frames, size = sum(record.num_kept for record in good), sum(record.bytes for record in good)
    lines = [f"{len(good)} videos, {frames} frames, {size / 1e6:.1f} MB in {destination}; {len(bad)} rejected"]
    lines += [f"  {shown(record.path)}: {record.error}" for record in bad[:10]]
    if len(bad) > 10:
        lines.append(f"  and {len(bad) - 10} more; see {destination / 'manifest.csv'}")
    document = {
        "folder": destination,
        "videos": len(good),
        "frames": frames,
        "bytes": size,
        "rejected": [{"path": shown(record.path), "error": record.error} for record in bad],
    }
    nested = any("/" in record.path for record in good)
    then = _next(source, listing, destination, nested) if good and part is None else ()
    answer(document, lines, as_json=as_json, then=then)
    if strict and bad:
        raise typer.Exit(3)


def _next(source: Path, listing: Path | None, destination: Path, nested: bool) -> tuple[object, ...]:
    """Making lists: by a table of the videos, or by their folders; whether it is a known data set can't be seen."""
    table = next((path for path in (listing, source) if path is not None and path.suffix == ".csv"), None)
    rest = ("--media", destination / "manifest.csv", "--out", "lists/NAME")
    if table is None and nested and source.is_dir():
        return ("annotate", "folders", "--source", source, *rest)
    return ("annotate", "csv", "--source", table or "CLIPS.csv", *rest)


def _verify(
    source: Path, destination: Path, listing: Path | None, jobs: int | None, *, follow_links: bool, as_json: bool
) -> None:
    from dataclasses import asdict

    from bike.extract.verify import verify_extraction

    found = verify_extraction(source, destination, listing=listing, jobs=jobs, follow_links=follow_links)
    unknown = f"; {found.unknown} without a hash" if found.unknown else ""
    verdict = f"{len(found.faults)} faults" if found.faults else "all right"
    lines = [*found.faults, f"{destination}: {found.videos} videos, {verdict}{unknown}"]
    answer({"folder": destination, **asdict(found)}, lines, as_json=as_json)
    if found.faults:
        raise typer.Exit(1)
