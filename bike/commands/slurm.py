"""``bike slurm``: a command as a job array of parts, or on several machines."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

# Command -> module of its function, of the same name.
SCORING = {"attributes": "attributes", "eval": "evaluate", "zeroshot": "zeroshot"}
IN_PARTS = {"extract": "extract", "shard": "shard", **SCORING}
ON_NODES = {"train": "train", **SCORING}


def slurm(
    context: typer.Context,
    command: Annotated[str, typer.Argument(metavar="COMMAND …", help="A command of bike with all its options.")],
    parts: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Tasks of the array, one part each.", show_default=False)
    ] = None,
    nodes: Annotated[
        int | None, typer.Option(min=1, help="In place of parts: machines of one run.", show_default=False)
    ] = None,
    processes: Annotated[str, typer.Option(help="With --nodes: on each machine; auto: one for each GPU.")] = "auto",
    retry: Annotated[bool, typer.Option("--retry", help="Run only the parts that did not end well.")] = False,
    sbatch: Annotated[
        str, typer.Option(help="More options of sbatch, such as '--partition=gpu --gres=gpu:1 --time=4:00:00'.")
    ] = "",
    logs: Annotated[
        Path | None, typer.Option(help="Folder of scripts and logs. Default: slurm/COMMAND-…", show_default=False)
    ] = None,
) -> None:
    """Submit a command as a job array of parts, wait for them and merge them; or run one on several machines.

    Run it where jobs are submitted, in a folder that all machines see; it ends when the result is written.

    \b
    [bold]Examples[/bold]
      bike slurm extract videos/ frames/ --parts 64 --sbatch '--cpus-per-task=8 --time=2:00:00'
      bike slurm extract videos/ frames/ --parts 64 --retry
      bike slurm train --train lists/x/train.csv --shards shards/train --out models/x.pt --nodes 4 --sbatch --gres=gpu:8
    """
    import hashlib

    from bike.errors import ParamsError
    from bike.slurm import run_nodes, run_parts

    if (parts is None) == (nodes is None):
        raise ParamsError("--parts, --nodes: one of them is needed.")
    known = IN_PARTS if nodes is None else ON_NODES
    if command not in known:
        kind = "in parts" if nodes is None else "on several machines"
        raise ParamsError(f"{command}: does not run {kind}; {', '.join(known)} do.")
    words = [command, *context.args]
    for word in words:
        if word.split("=")[0] in ("--part", "--merge"):
            raise ParamsError(f"{word}: is given to each task by `bike slurm` itself. Leave it out.")
        if not word.isprintable():
            raise ParamsError(f"{word!r:.80}: can't be written into a script. Choose another name.")
    _check(known[command], context.args)
    folder = (
        logs or Path("slurm") / f"{command}-{hashlib.sha256(shlex.join([*words, str(parts)]).encode()).hexdigest()[:8]}"
    )
    try:
        options = shlex.split(sbatch)
    except ValueError as error:
        raise ParamsError(f"--sbatch: not a command line ({error}; got {sbatch!r:.80}).") from None
    if parts is not None:
        run_parts(words, folder, parts=parts, retry=retry, options=options)
    elif nodes is not None:
        run_nodes(words, folder, nodes=nodes, processes=processes, options=options)
    typer.echo(f"{' '.join(words)}: done; logs are in {folder}")


def _check(module: str, words: list[str]) -> None:
    """Let a mistake in a command's own options end here, and not in each task."""
    import importlib

    app = typer.Typer()
    app.command()(getattr(importlib.import_module(f"bike.commands.{module}"), module))
    typer.main.get_command(app).make_context(module, list(words))
