"""``bike params``: the parameters of a project with all defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bike.commands.options import SetOption

app = typer.Typer(no_args_is_help=True, help="The parameters of an experiment.", rich_markup_mode="rich")


@app.callback()
def params() -> None:
    """The parameters of an experiment."""


@app.command("show")
def show(
    sections: Annotated[
        list[str] | None,
        typer.Argument(metavar="SECTION", help="Sections, such as train. Default: all.", show_default=False),
    ] = None,
    file: Annotated[Path, typer.Option("--params", help="Params file.")] = Path("params.yaml"),
    setting: SetOption = None,
) -> None:
    """Print every parameter as a run gets it: the file over the defaults.

    \b
    [bold]Examples[/bold]
      bike params show
      bike params show train evaluate --set train.lr=1e-5
    """
    from bike.errors import ParamsError, nearest
    from bike.params import load_params
    from bike.trees.dump import yaml_text

    tree = load_params(file, setting or ()).model_dump(mode="json")
    unknown = [name for name in sections or () if name not in tree]
    if unknown:
        raise ParamsError(f"{unknown[0]}: no such section.{nearest(unknown[0], tree)} Known: {', '.join(tree)}.")
    typer.echo(yaml_text({name: tree[name] for name in sections or tree}), nl=False)
