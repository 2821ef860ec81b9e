"""``bike zoo``: the published models, what was measured here, and how to run each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bike.commands.options import ReplaceOption

app = typer.Typer(invoke_without_command=True, help="The published models as presets.", rich_markup_mode="rich")

PresetName = Annotated[str, typer.Argument(help="Preset.")]
ZooFile = Annotated[Path | None, typer.Option("--zoo", help="Left out: configs/zoo.yaml of the project.")]


@app.callback()
def zoo(context: typer.Context) -> None:
    """The published models as presets; without a command, their table."""
    if context.invoked_subcommand is None:
        list_presets()


@app.command("list")
def list_presets(
    results: Annotated[Path, typer.Option(help="Folder of projects, each named as its row.")] = Path(),
    zoo: ZooFile = None,
) -> None:
    """Print every preset: published result, ours, expected memory and time, and where its commands are.

    Time is worked out from the arithmetic for 8 GPUs that sustain 60 TFLOP/s each; memory is the published figure.

    \b
    bike zoo list
    bike zoo list --results projects
    """
    from rich.console import Console
    from rich.table import Table

    from bike.project.hours import expected_hours
    from bike.zoo import load_zoo, measured, show_metrics

    table = Table(
        "preset", "encoder", "input", "views", "published", "measured here", "GB/GPU", "8-GPU hours", "command"
    )
    for name, preset in load_zoo(zoo).items():
        params = preset.params
        size = "336" if params.model.weights.endswith("336px") else "224"
        table.add_row(
            name,
            params.model.weights,
            f"{params.model.frames}×{size}²",
            ", ".join(params.evaluate.views),
            show_metrics(dict(preset.published), tuple(preset.published)),
            measured(preset, results),
            "–" if preset.memory_gb is None else f"{preset.memory_gb:g}",
            f"{expected_hours(preset):.2g}",
            f"bike zoo show {name}",
        )
    Console(width=None if Console().is_terminal else 200).print(table)


@app.command("show")
def show_preset(name: PresetName, zoo: ZooFile = None) -> None:
    """Print a preset's commands and the parameters that differ from the defaults.

    \b
    bike zoo show k400-vitb16-8f
    """
    from bike.zoo import commands, find_preset, load_zoo

    preset = find_preset(load_zoo(zoo), name)
    for section, values in preset.tree.items():
        for key, value in values.items():
            typer.echo(f"{section}.{key}: {value}")
    typer.echo("")
    for line in commands(preset):
        typer.echo(line)


@app.command("params")
def write_params(
    name: PresetName,
    out: Annotated[Path | None, typer.Option(help="File to write. Default: standard output.")] = None,
    zoo: ZooFile = None,
    replace: ReplaceOption = False,
) -> None:
    """Write a preset as a full params file, ready for `--params` and for DVC.

    \b
    bike zoo params k400-vitb16-8f --out configs/k400-vitb16-8f.yaml
    bike zoo params k400-vitb16-8f > params.yaml
    """
    from bike.files import atomic_write, claim_file
    from bike.zoo import find_preset, load_zoo, params_text

    text = params_text(find_preset(load_zoo(zoo), name))
    if out is None:
        typer.echo(text, nl=False)
        return
    with claim_file(out, inputs=[zoo], replace=replace), atomic_write(out, "w") as file:
        file.write(text)
    typer.echo(f"{out}: written")
