"""``bike pretrain``: train the demo's small CLIP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bike.commands.options import (
    FreshOption,
    LiveOption,
    MaybeParamsOption,
    ReplaceOption,
    SeedOption,
    SetOption,
    TrainStateOption,
    params_with,
)


def pretrain(
    destination: Annotated[
        Path, typer.Argument(metavar="OUT", help="Weight file to write, such as models/clip.safetensors.")
    ],
    params: MaybeParamsOption = None,
    setting: SetOption = None,
    steps: Annotated[int | None, typer.Option(help="Training steps, in place of the params file's.")] = None,
    images: Annotated[int | None, typer.Option(help="Stills to train on, in place of the params file's.")] = None,
    seed: SeedOption = None,
    state: TrainStateOption = None,
    fresh: FreshOption = False,
    live: LiveOption = None,
    device: Annotated[str | None, typer.Option(envvar="BIKE_DEVICE", help="cpu, cuda or cuda:N. Default: cpu.")] = None,
    replace: ReplaceOption = False,
) -> None:
    """Train a small CLIP on generated stills with captions; a stand-in for OpenAI's weights.

    Stopped in any way, the same command goes on where it was.

    \b
    [bold]Examples[/bold]
      bike pretrain models/demo-clip.safetensors --params params.yaml
      bike pretrain /tmp/tiny.safetensors --steps 20 --images 500
    """
    settings = params_with(params, setting, "pretrain", out=destination, steps=steps, num_images=images, seed=seed)
    from bike.pretrain.run import pretrain_clip
    from bike.runtime.checkpoint import Place

    done = pretrain_clip(
        destination,
        settings.pretrain,
        place=Place(device=device, state_dir=state, fresh=fresh, live_dir=live),
        replace=replace,
    )
    typer.echo(
        f"{destination}: {done.parameters / 1e6:.2f} M parameters beside the token table, loss {done.loss:.3f}, "
        f"{done.caption_top1:.1f} % of held-out stills nearest to their own caption."
    )
