"""``bike attributes``: the phrases of a lexicon that describe each video best."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bike.commands import options


def attributes(
    lexicon: Annotated[
        Path, typer.Argument(metavar="LEXICON", help="Phrases, one on each line, or class names as CSV id,name.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Attribute corpus to write (JSON).")],
    lists: Annotated[list[Path], typer.Option("--list", help="List of samples, or a folder with train, val, test.")],
    frames: Annotated[
        list[Path], typer.Option("--shards", "--frames", help="Frames of each list, or one folder for all.")
    ],
    params: options.ParamsOption = Path("params.yaml"),
    setting: options.SetOption = None,
    allow_mismatch: options.AllowOption = None,
    state: options.StateOption = None,
    decoder: options.DecoderOption = "pyav",
    follow_links: options.FollowLinksOption = False,
    device: options.DeviceOption = None,
    workers: options.WorkersOption = 2,
    part: options.PartOption = None,
    merge: options.MergeOption = False,
    replace: options.ReplaceOption = False,
) -> None:
    """Make the attribute corpus: CLIP ranks the phrases of a lexicon for every video.

    Stopped in any way, the same command goes on where it was. With torchrun it uses all processes.

    \b
    [bold]Examples[/bold]
      bike attributes lexicon.txt attributes.json --list lists/x --shards shards
      bike attributes k400.csv a.json --list lists/x/train.csv --shards s/train --list lists/x/val.csv --shards s/val
    """
    settings = options.read_params(params, setting, allow_mismatch, out=out)
    from bike.attributes.run import make_attributes, pair_lists

    corpus = make_attributes(
        settings,
        lexicon=lexicon,
        lists=pair_lists(lists, frames),
        out=out,
        decoder=decoder,
        place=options.place_of(device, workers, state, part, merge, follow_links),
        replace=replace,
    )
    if corpus:
        typer.echo(f"{out}: {len(corpus)} videos")
