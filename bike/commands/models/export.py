"""``bike export``: a trained model as safetensors or as an ONNX graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bike.commands import options


def export(
    model: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Or the folder of a published model.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The new file, .safetensors or .onnx.", show_default=False)
    ],
    labels: Annotated[Path | None, typer.Option(help="Class names of the graph; left out: the checkpoint's.")] = None,
    class_features: Annotated[
        Literal["constant", "input"], typer.Option(help="Whether the graph holds the classes, or is given them.")
    ] = "constant",
    setting: options.SetOption = None,
    replace: options.ReplaceOption = False,
) -> None:
    """Write a model as safetensors, which every command takes in a checkpoint's place, or as an ONNX graph.

    A graph (extra [bold]onnx[/bold]) takes any number of videos and frames. It is compared with PyTorch before it is
    written, and the speed of both is shown.

    \b
    [bold]Examples[/bold]
      bike export models/x.pt x.safetensors
      bike export models/x.pt x.onnx
      bike export models/x.pt open.onnx --class-features input
    """
    settings = options.read_params(None, setting)
    from bike.errors import BikeError
    from bike.model.choose import load_video_model
    from bike.records import read_labels
    from bike.share.folder import export_safetensors
    from bike.share.graph import export_onnx

    if out.suffix not in (".safetensors", ".onnx"):
        raise BikeError(f"{out}: unknown kind of file; names in .safetensors and .onnx are allowed.")
    if out.suffix == ".safetensors":
        if labels or setting or class_features == "input":
            raise BikeError(
                f"{out}: holds the model as it is; classes and parameters are for an .onnx file. Leave out."
            )
        export_safetensors(model, out, replace=replace)
        typer.echo(out)
        return
    names = None if labels is None else read_labels(labels)
    found = export_onnx(settings, load_video_model(model), out, names, features=class_features, replace=replace)
    if found is None:
        typer.echo(f"{out}: not compared with PyTorch, since onnxruntime is not installed")
    else:
        typer.echo(f"{out}: within {found[0]:.1e} of PyTorch, {found[1]:.2f} times as fast on this CPU")
