"""``bike manifest``: which videos there are, written down for DVC in place of the files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bike.commands.options import FollowLinksOption


def manifest(
    videos: Annotated[
        Path | None,
        typer.Argument(
            metavar="VIDEOS", help="Folder or tar of videos. Default: `videos` of machine.yaml.", show_default=False
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The file to write, or to check.")] = Path("media.csv"),
    full: Annotated[bool, typer.Option("--full", help="SHA-256 over all bytes, not only size and both ends.")] = False,
    follow_links: FollowLinksOption = False,
    check: Annotated[bool, typer.Option("--check", help="Compare the videos with the file; write nothing.")] = False,
) -> None:
    """Write media.csv (path, bytes, checksum) of some videos, or check that they are still those.

    \b
    [bold]Examples[/bold]
      bike manifest /data/UCF-101
      bike manifest --check
    """
    from bike.errors import ParamsError
    from bike.params import load_machine
    from bike.project.media import check_media, write_media

    place = videos or load_machine().videos
    if check:
        media, done = check_media(out, place, contents=True, named="VIDEOS" if videos else None), "all there"
    else:
        if place is None:
            raise ParamsError("VIDEOS: the folder or tar is needed; neither machine.yaml nor BIKE_VIDEOS names it.")
        media, done = write_media(place, out, full=full, follow_links=follow_links), "written"
    typer.echo(f"{out}: {len(media)} videos, {sum(row.bytes for row in media) / 1e9:.3g} GB, {done}")
