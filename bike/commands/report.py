"""``bike report``: the result table and the HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bike.commands.options import AllowOption, FollowLinksOption, SetOption, read_params


def report(
    results: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RESULTS",
            help="Folder with <name>/<views>/metrics.json and train/. Several, or folders of single evaluations: the "
            "first is compared with the others.",
            show_default="results",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Gets index.html, table.md and summary.json; of several RESULTS index.html.",
            show_default="report; comparison for several",
        ),
    ] = None,
    lists: Annotated[
        Path | None, typer.Option(help="Folder of `bike annotate`: labels.csv, test.csv, audit.csv.")
    ] = None,
    manifest: Annotated[Path | None, typer.Option(help="manifest.csv of `bike extract`: names the rejects.")] = None,
    frames: Annotated[Path | None, typer.Option(help="Test shards (or frame packs), for clips with saliency.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Video branch whose saliency is shown.")] = None,
    provenance: Annotated[
        bool,
        typer.Option("--provenance", help="Show commit, processor and time of each run; a comparison always does."),
    ] = False,
    follow_links: FollowLinksOption = False,
    params: Annotated[Path, typer.Option(help="Shown on the page; report.order_pairs and report.clips.")] = Path(
        "params.yaml"
    ),
    setting: SetOption = None,
    allow_mismatch: AllowOption = None,
    readme: Annotated[Path | None, typer.Option(help="Only renew the table between the two results markers.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Only print the table.")] = False,
    check: Annotated[bool, typer.Option("--check", help="With --readme: compare, and change nothing.")] = False,
) -> None:
    """Collect every evaluation below RESULTS into one page and one table.

    The page needs no network. What was not run is marked so; nothing is made up. With several RESULTS the page says
    what differs: by class, by video, in the curves, and whether it exceeds chance.

    \b
    [bold]Examples[/bold]
      bike report results --show
      bike report results --lists lists/demo --manifest data/demo/frames/manifest.csv
      bike report results --readme README.md --check
      bike report results ../other/results --out comparison
    """
    from bike.errors import ParamsError
    from bike.files import existing_dir, existing_file
    from bike.frames.remote import existing_place

    first, *others = results or [Path("results")]
    out = out or Path("comparison" if others else "report")
    if others:
        one = {"readme": readme, "show": show, "check": check, "lists": lists, "manifest": manifest}
        given = [name for name, value in {**one, "frames": frames, "checkpoint": checkpoint}.items() if value]
        if given:
            raise ParamsError(f"--{given[0]}: is for one results folder (got {1 + len(others)}). Leave it out.")
        from bike.report.compare import build_comparison

        count = build_comparison([first, *others], out)
        typer.echo(f"{out / 'index.html'}: {count} evaluations compared")
        return
    settings = read_params(params, setting, allow_mismatch, out=out)
    pairs = settings.report.order_pairs
    if check and readme is None:
        raise ParamsError("--readme: missing; --check needs the file to compare with.")
    if readme is not None:
        from bike.report.table import check_readme, renew_readme

        (check_readme if check else renew_readme)(readme, first, order_pairs=pairs)
        typer.echo(f"{readme}: {'agrees with' if check else 'table renewed from'} {first}")
        return
    if show:
        from rich.console import Console

        from bike.report.rows import results_table
        from bike.report.table import rich_claims, rich_table

        rows = results_table(first, order_pairs=pairs)
        claims = rich_claims(rows)
        Console(width=None if Console().is_terminal else 110).print(rich_table(rows), *[claims] * bool(claims.rows))
        return
    for path in (manifest, checkpoint):
        if path is not None:
            existing_file(path)
    if lists is not None:
        existing_dir(lists)
    if frames is not None:
        existing_place(frames)
    from bike.report.run import build_report

    rows = build_report(
        first,
        out,
        params=settings,
        lists=lists,
        manifest=manifest,
        frames=frames,
        checkpoint=checkpoint,
        follow_links=follow_links,
        provenance=provenance,
    )
    ran = sum(row.folder is not None for row in rows)
    typer.echo(f"{out / 'index.html'}: {ran} evaluations")
