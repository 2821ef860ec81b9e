"""``bike pretrain``: train the demo's small CLIP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bike.commands.options import LiveOption


def pretrain(
    destination: Annotated[
        Path, typer.Argument(metavar="DST", help="Weight file to write, such as models/clip.safetensors.")
    ],
    params: Annotated[Path | None, typer.Option(help="Params file; its section pretrain is read.")] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps, in place of the params file's.")] = None,
    images: Annotated[int | None, typer.Option(help="Stills to train on, in place of the params file's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed than the params file's.")] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder of the state to go on from; left out: state/<name of DST>.")
    ] = None,
    live: LiveOption = None,
    device: Annotated[
        str | None, typer.Option(envvar="BIKE_DEVICE", help="cpu, cuda or cuda:N; left out: cpu.")
    ] = None,
) -> None:
    """Train a small CLIP on generated stills with captions; it stands where OpenAI's weights stand for real data.

    Stopped in any way, the same command goes on where it was.

    \b
    [bold]Examples[/bold]
      bike pretrain models/demo-clip.safetensors --params params.yaml
      bike pretrain /tmp/tiny.safetensors --steps 20 --images 500
    """
    from bike.checkpoint import Place
    from bike.params import Pretrain, load_params, parse_params
    from bike.pretrain.run import pretrain_clip

    chosen = {"steps": steps, "num_images": images, "seed": seed}
    base = load_params(params).pretrain if params is not None else Pretrain()
    section = base.model_dump() | {name: value for name, value in chosen.items() if value is not None}
    done = pretrain_clip(
        destination,
        parse_params({"pretrain": section}, "options").pretrain,
        place=Place(device=device, state_dir=state or Path("state") / destination.stem, live_dir=live),
    )
    typer.echo(
        f"{destination}: {done.parameters / 1e6:.2f} M parameters beside the token table, loss {done.loss:.3f}, "
        f"{done.caption_top1:.1f} % of held-out stills nearest to their own caption."
    )
