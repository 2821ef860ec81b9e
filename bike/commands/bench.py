"""``bike bench``: measure on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Measure on this machine, against plain ways to do the same.")

Csv = Annotated[Path, typer.Option(help="Every measurement.")]
Page = Annotated[Path, typer.Option(help="Markdown page; its section gets the tables.")]


@app.command("model")
def model(
    size: Annotated[str, typer.Option(help="Official vision transformer, or tiny.")] = "ViT-B/32",
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    videos: Annotated[int, typer.Option(help="Clips in a batch.")] = 2,
    frames: Annotated[int, typer.Option(help="Frames in a clip.")] = 8,
    classes: Annotated[int, typer.Option(help="Classes in evaluation.")] = 400,
    rounds: Annotated[int, typer.Option(help="Measured rounds.")] = 5,
    threads: Annotated[int | None, typer.Option(help="CPU threads. Default: torch's choice.")] = None,
    csv: Csv = Path("results/bench/model.csv"),
    page: Page = Path("docs/benchmarks.md"),
) -> None:
    """Training step, evaluation and memory, against a model that works as the published code does.

    \b
    [bold]Examples[/bold]
      bike bench model
      bike bench model --size tiny --rounds 2 --csv /tmp/model.csv --page /tmp/model.md
    """
    import torch

    from bike.bench.model import Workload, bench_model

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    work = Workload(size=size, device=device, videos=videos, frames=frames, classes=classes, threads=threads)
    for line in bench_model(work, rounds=rounds, csv_path=csv, page=page):
        typer.echo(line)


@app.command("data")
def data(
    quick: Annotated[
        bool, typer.Option("--quick", help="Few and short videos: a minute, to see that it works.")
    ] = False,
    csv: Csv = Path("results/bench/data.csv"),
    page: Page = Path("docs/benchmarks.md"),
    plot: Annotated[Path, typer.Option(help="SVG file for the figure.")] = Path("docs/bench_data.svg"),
) -> None:
    """Extraction, loading, memory and cost for each video, against ffmpeg, a decoder loop and folders of JPEGs.

    Takes up to ten minutes on two cores and 2 GB in the temporary folder.

    \b
    [bold]Examples[/bold]
      bike bench data
      bike bench data --quick --csv /tmp/data.csv --page /tmp/data.md --plot /tmp/data.svg
    """
    from bike.bench.data import FULL, QUICK, bench_data
    from bike.bench.results import target_table

    for line in target_table(bench_data(QUICK if quick else FULL, csv_path=csv, page=page, plot=plot)):
        typer.echo(line)
