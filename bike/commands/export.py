"""``bike export``: a trained model as safetensors or as an ONNX graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bike.commands import options


def export(
    model: Annotated[Path, typer.Argument(help="Checkpoint, or folder of a published model.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="The new file, .safetensors or .onnx.", show_default=False)],
    labels: Annotated[
        Path | None, typer.Option(help="Class names of the graph; left out: the checkpoint's.", show_default=False)
    ] = None,
    class_features: Annotated[
        Literal["constant", "input"], typer.Option(help="Whether the graph holds the classes, or is given them.")
    ] = "constant",
    params: options.MaybeParamsOption = None,
    setting: options.SetOption = None,
    allow_mismatch: options.AllowOption = None,
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
    from bike.errors import BikeError

    if out.suffix not in (".safetensors", ".onnx"):
        raise BikeError(f"{out}: unknown kind of file; names in .safetensors and .onnx are allowed.")
    if out.suffix == ".safetensors":
        given = {"--labels": labels, "--params": params, "--set": setting, "--allow-mismatch": allow_mismatch}
        given["--class-features"] = None if class_features == "constant" else class_features
        if named := [name for name, value in given.items() if value is not None]:
            raise BikeError(f"{', '.join(named)}: of an .onnx file only. Leave out, or name such a file.")
        from bike.share.folder import export_safetensors

        export_safetensors(model, out, replace=replace)
        typer.echo(out)
        return
    settings = options.read_params(params, setting, allow_mismatch, out=out)
    from bike.model.choose import load_video_model
    from bike.records import read_labels
    from bike.share.graph import export_onnx

    found = export_onnx(
        settings,
        load_video_model(model),
        out,
        None if labels is None else read_labels(labels),
        features=class_features,
        inputs=[labels, params],
        replace=replace,
    )
    if found is None:
        typer.echo(f"{out}: not compared with PyTorch, since onnxruntime is not installed")
    else:
        typer.echo(f"{out}: within {found.difference:.1e} of PyTorch, {found.speed:.2f} times as fast on this CPU")
