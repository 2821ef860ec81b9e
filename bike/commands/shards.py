"""``bike shards``: what a folder of shards holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bike.commands.common import JsonOption, answer
from bike.commands.options import ReplaceOption

app = typer.Typer(no_args_is_help=True, help="Look at shards before training on them.")


def _here(folder: Path) -> Path:
    from bike.errors import ParamsError
    from bike.frames.remote import remote_url

    if url := remote_url(folder):
        raise ParamsError(f"{url}: shards are looked at in a folder. Copy them to one.")
    return folder


ShardsFolder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of shards.", show_default=False, callback=_here)
]


@app.command("info")
def info(
    folder: ShardsFolder,
    as_json: JsonOption = False,
) -> None:
    """Count videos, frames, classes, bytes, sizes and seconds of a folder of shards.

    \b
    [bold]Examples[/bold]
      bike shards info shards/ucf101/train
      bike shards info shards/ucf101/train --json
    """
    from dataclasses import asdict

    from bike.doctor.shards import shards_info

    found = shards_info(folder)
    by_size = {f"{width}x{height}": count for (width, height), count in found.sizes.items()}
    sizes = [f"{width} x {height} ({count})" for (width, height), count in found.sizes.items()]
    few = sorted(found.classes.items(), key=lambda item: item[1])
    rows = {
        "shards": f"{found.shards}, {found.bytes / 1e6:.1f} MB, {found.payload}",
        "videos": f"{found.videos}, {found.samples} samples"
        + f", {found.unlabelled} without a label" * (found.unlabelled > 0),
        "frames": f"{found.frames}, {found.frames / max(1, found.videos):.1f} a video"
        + f", of {found.frames_in_all} that the videos have" * (found.frames < found.frames_in_all),
        "seconds": f"{found.seconds:.1f}" + f", {found.no_rate} videos without a frame rate" * (found.no_rate > 0),
        "sizes": ", ".join(sizes[:5]) + f" and {len(sizes) - 5} more" * (len(sizes) > 5),
        "classes": f"{len(few)}"
        + (f", from {few[0][1]} ({few[0][0]}) to {few[-1][1]} ({few[-1][0]}) samples" if few else ""),
    }
    lines = [f"{name:8} {text}" for name, text in rows.items()]
    answer({**asdict(found), "sizes": by_size}, lines, as_json=as_json)


@app.command("preview")
def preview(
    folder: ShardsFolder,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The HTML page to write.", show_default=False)],
    videos: Annotated[int, typer.Option(min=1, max=1000, help="Rows: videos, spread over the classes.")] = 40,
    frames: Annotated[int, typer.Option(min=1, max=64, help="Pictures in a row.")] = 8,
    replace: ReplaceOption = False,
) -> None:
    """Write one HTML page with a row of frames for each of some videos. It opens offline.

    \b
    [bold]Examples[/bold]
      bike shards preview shards/ucf101/train preview.html --videos 101
    """
    from bike.doctor.shards import write_preview

    typer.echo(f"{out}: {write_preview(folder, out, videos=videos, frames=frames, replace=replace)} videos")
