"""``bike zoo``: the published models, what was measured here, and how to run each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bike.commands.common import JsonOption, answer
from bike.commands.given import preset_names
from bike.commands.options import ReplaceOption

if TYPE_CHECKING:
    from rich.console import Console

    from bike.zoo import Preset

_WITH_COMMANDS, _AS_TABLE = 160, 80  # columns of the terminal

app = typer.Typer(invoke_without_command=True, help="The published models as presets.", rich_markup_mode="rich")

PresetName = Annotated[str, typer.Argument(metavar="ROW", help="Row of `bike zoo list`.", autocompletion=preset_names)]
ZooFile = Annotated[Path | None, typer.Option("--zoo", help="Default: configs/zoo.yaml of the project.")]


@app.callback()
def zoo(context: typer.Context) -> None:
    """The published models as presets; without a command, their table."""
    if context.invoked_subcommand is None:
        list_presets()


@app.command("list")
def list_presets(
    projects: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of projects, beside this one. May be given again.", show_default=False),
    ] = None,
    zoo: ZooFile = None,
    as_json: JsonOption = False,
) -> None:
    """Print every row: what was published, what came of it here, and what it needs.

    Looked at are the projects in this folder and up to two below it, whatever their names. A row is measured here
    where its weights, all its videos and its protocol were used; anything else is a rehearsal.

    \b
    [bold]Examples[/bold]
      bike zoo list
      bike zoo list --projects /data/projects
    """
    import os

    from rich.console import Console

    from bike.project.overview import find_projects, needs, what_came_of
    from bike.zoo import load_zoo, show_metrics

    found = find_projects((Path(), *(projects or ())))
    presets = load_zoo(zoo)
    if as_json:
        table = [_row(name, preset) | {"here": what_came_of(preset, found)} for name, preset in presets.items()]
        answer(table, (), as_json=True)
        return
    console = Console(highlight=False)
    if not (console.is_terminal or "COLUMNS" in os.environ):
        console.width = 200  # for files and programs, which fold no lines
    wide = console.width >= _WITH_COMMANDS
    rows = []
    for name, preset in presets.items():
        published = show_metrics(dict(preset.published), tuple(preset.published))
        row = {"row": name, "published": published, "here": what_came_of(preset, found), "what it needs": needs(preset)}
        rows.append(row | ({"command": f"bike init {name} DIR"} if wide else {}))
    _print(console, rows)
    if not wide:
        console.print("\n`bike init ROW DIR` makes a project of a row; `bike zoo show ROW` has its memory and hours.")


def _print(console: Console, rows: list[dict[str, str]]) -> None:
    """A table, or one line for each value where a table would be all folds."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    if console.width >= _AS_TABLE:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for name in rows[0]:
            whole = name in ("row", "command")  # for those who copy them
            table.add_column(name, no_wrap=whole, overflow="fold", min_width={"what it needs": 19}.get(name, 15))
        for row in rows:
            table.add_row(*(Text(value) for value in row.values()))
        console.print(table)
        return
    for row in rows:
        console.print(Text(row["row"], style="bold"))
        for key, value in list(row.items())[1:]:
            console.print(Padding(Text(f"{key}: {value}", overflow="fold"), (0, 0, 0, 2)))


@app.command("show")
def show_preset(name: PresetName, zoo: ZooFile = None, as_json: JsonOption = False) -> None:
    """Print what a preset needs and takes, its commands, and the parameters that differ from the defaults.

    Time is worked out from the arithmetic for 8 GPUs that sustain 60 TFLOP/s each; memory is the published figure.

    \b
    [bold]Examples[/bold]
      bike zoo show k400-vitb16-8f
    """
    from bike.project.hours import expected_hours
    from bike.project.overview import needs
    from bike.zoo import commands, find_preset, load_zoo

    preset = find_preset(load_zoo(zoo), name)
    memory = "" if preset.memory_gb is None else f", {preset.memory_gb:g} GB of each in training"
    lines = [f"needs: {needs(preset)}"]
    lines += [f"takes: about {expected_hours(preset):.2g} hours on 8 GPUs of 60 TFLOP/s{memory}", ""]
    lines += [f"{section}.{key}: {value}" for section, values in preset.tree.items() for key, value in values.items()]
    document = _row(name, preset) | {"hours": expected_hours(preset), "memory_gb": preset.memory_gb}
    document |= {"params": preset.tree, "commands": commands(preset)}
    answer(document, [*lines, "", *commands(preset)], as_json=as_json)


def _row(name: str, preset: Preset) -> dict[str, Any]:
    from bike.project.overview import needs

    return {"row": name, "published": dict(preset.published), "needs": needs(preset)}


@app.command("params")
def write_params(
    name: PresetName,
    out: Annotated[Path | None, typer.Option(help="File to write. Default: standard output.")] = None,
    zoo: ZooFile = None,
    replace: ReplaceOption = False,
) -> None:
    """Write a preset as a full params file, ready for `--params` and for DVC.

    \b
    [bold]Examples[/bold]
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
