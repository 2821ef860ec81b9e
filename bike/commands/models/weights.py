"""``bike weights``: fetch, look at and convert CLIP's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bike.commands.common import JsonOption, answer
from bike.commands.given import weight_names
from bike.commands.options import ReplaceOption

app = typer.Typer(no_args_is_help=True, help="Fetch, look at and convert CLIP's weights.")

WeightFile = Annotated[
    str,
    typer.Argument(metavar="FILE", help="Weight file, folder of one, or official name.", autocompletion=weight_names),
]


@app.command("list")
def list_weights() -> None:
    """List the official models: name, checksum, and whether the file is here.

    Files lie in the user's cache folder, or in [bold]$BIKE_WEIGHTS[/bold].

    \b
    [bold]Examples[/bold]
      bike weights list
    """
    from bike.model.formats.official import OFFICIAL_FILES, weights_folder

    folder = weights_folder()
    for official in OFFICIAL_FILES.values():
        here = "here" if (folder / official.file).is_file() else "-"
        typer.echo(f"{official.name:15}  {here:4}  {official.file:18}  {official.sha256}")
    typer.echo(f"folder: {folder}")


@app.command("fetch")
def fetch_weights(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Official name, such as ViT-B/32.", show_default=False, autocompletion=weight_names
        ),
    ],
    mirror: Annotated[
        list[str] | None,
        typer.Option(help="URL in place of OpenAI's; of the file or its folder; {sha256} and {file} are filled in."),
    ] = None,
) -> None:
    """Fetch an official weight file and check it; a cut download goes on where it stopped.

    \b
    [bold]Examples[/bold]
      bike weights fetch ViT-B/32
      bike weights fetch ViT-L/14 --mirror https://example.org/clip
    """
    from bike.errors import WeightsError, nearest, one_line
    from bike.model.formats.fetch import fetch
    from bike.model.formats.official import OFFICIAL_FILES, find_official

    official = find_official(name)
    if official is None:
        known = ", ".join(OFFICIAL_FILES)
        raise WeightsError(f"{one_line(name)}: not an official name.{nearest(name, OFFICIAL_FILES)} Official: {known}.")
    typer.echo(fetch(official, mirrors=mirror or ()))


@app.command("inspect")
def inspect_file(file: WeightFile, as_json: JsonOption = False) -> None:
    """Say what is in a weight file, and all that keeps it from being loaded. Nothing in it is executed.

    \b
    [bold]Examples[/bold]
      bike weights inspect ViT-B/32
      bike weights inspect models/video-transf-vcs.pt
    """
    from dataclasses import asdict

    from bike.model.formats.fetch import resolve
    from bike.model.formats.inspect import inspect_weights

    found = inspect_weights(resolve(file))
    shape = found.architecture
    types = ", ".join(f"{count} {name}" for name, count in found.dtypes.items())
    lines = [
        f"file          {found.path} ({found.num_bytes} bytes, {found.format})",
        f"sha256        {found.sha256}" + (f" (official {found.official})" if found.official else ""),
        f"tensors       {found.num_tensors} ({types}; {found.num_not_finite} with NaN or infinity)",
    ]
    if shape is not None:
        vision = f"patch {shape.patch_size}" if shape.patch_size else "ResNet"
        lines += [
            f"architecture  {', '.join(found.like) or 'none of the official ones'}",
            f"vision        {shape.input_size} px, {vision}, width {shape.vision_width}, {shape.vision_layers} layers",
            f"text          {shape.context_length} tokens, width {shape.text_width}, {shape.text_layers} layers",
            *(f"              {note}" for note in found.notes),
            f"embeddings    {shape.embed_dim} wide; {found.num_parameters} parameters in all",
        ]
    if found.head is not None:
        lines.append(f"head          {found.head}, epoch {found.epoch}")
    if found.contract is not None:
        lines.append("trained for")
        for field, value in found.contract:
            if text := _shown(value):
                lines.append(f"  {field.replace('_', ' '):16}  {text}")
    lines.append(f"problems      {len(found.problems) or 'none'}")
    lines += [f"  {problem}" for problem in found.problems]
    contract = None if found.contract is None else found.contract.model_dump(mode="json")
    answer({**asdict(found), "contract": contract}, lines, as_json=as_json)


def _shown(value: object) -> str:
    """A field of a contract in one line; nothing for what it doesn't say."""
    from bike.errors import first_few, one_line
    from bike.model.contract import Origin

    if isinstance(value, Origin):
        return f"{one_line(value.name)} ({value.sha256})"
    if isinstance(value, list):
        return f"{len(value)}: {first_few([one_line(name)[:40] for name in value], 5)}"
    if isinstance(value, dict):
        return ", ".join(f"{one_line(key)} {one_line(item)[:80]}" for key, item in value.items())
    return "" if value is None else one_line(value)[:200]


@app.command("convert")
def convert_file(
    file: WeightFile,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The new file, ending in .safetensors.", show_default=False)
    ],
    part: Annotated[Literal["encoder", "head"], typer.Option(help="Which weights of a checkpoint.")] = "encoder",
    precision: Annotated[
        Literal["keep", "fp32", "fp16", "bf16"], typer.Option(help="Type of the written numbers.")
    ] = "keep",
    replace: ReplaceOption = False,
) -> None:
    """Write weights as safetensors under OpenAI's key names.

    \b
    [bold]Examples[/bold]
      bike weights convert ViT-B-32.pt ViT-B-32.safetensors
      bike weights convert k400.pt head.safetensors --part head --precision fp32
    """
    import torch

    from bike.model.formats.fetch import resolve
    from bike.model.formats.inspect import convert

    dtypes = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    count = convert(resolve(file), out, part=part, dtype=dtypes.get(precision), replace=replace)
    typer.echo(f"{out}: {count} tensors")
