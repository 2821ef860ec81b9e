"""Options that several commands share, each with one name, one help text and one variable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bike.commands.given import one_list, view_names, weight_names

if TYPE_CHECKING:
    from bike.files.parts import Split
    from bike.params import Params
    from bike.runtime.checkpoint import Place


def _frames_of(text: str) -> int | None:
    """What ``--frames-per-video`` means: a number, or None for all.

    Raises:
        ParamsError: it is neither.
    """
    from bike.errors import ParamsError

    if text == "all":
        return None
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) <= 10_000:
        raise ParamsError(
            f"--frames-per-video: not a count (got {text!r}); `all` or a number from 1 to 10000 is allowed."
        )
    return int(text)


FramesPerVideoOption = Annotated[
    int | None,
    typer.Option(
        "--frames-per-video",
        metavar="N|all",
        parser=_frames_of,
        help="Keep N evenly spaced frames of each video. Default: all.",
        show_default=False,
    ),
]
ParamsOption = Annotated[
    Path, typer.Option("--params", help="Params file; without one here, the published settings hold.")
]
# Where a command has options of its own for most settings, a params.yaml that happens to lie here must not decide.
MaybeParamsOption = Annotated[
    Path | None, typer.Option("--params", help="Params file. Default: the published settings.", show_default=False)
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A parameter over those of the file, such as train.lr=1e-5. May be given again.",
        show_default=False,
    ),
]
ListOption = Annotated[
    Path, typer.Option("--list", help="List CSV, manifest.csv, or a published list.", callback=one_list)
]
_FRAMES = typer.Option("--shards", "--frames", help="Shards, frame packs or frame folders of the list.")
FramesOption = Annotated[Path, _FRAMES]
MaybeFramesOption = Annotated[Path | None, _FRAMES]
LabelsOption = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="Class names, CSV id,name or one a line. Default: labels.csv beside the list.",
        show_default=False,
    ),
]
FollowLinksOption = Annotated[
    bool,
    typer.Option("--follow-links", help="Follow links that lead out of the folder; do so in your own folders only."),
]
ResultsOption = Annotated[Path, typer.Option("--out", help="Folder for metrics and scores.")]
ViewsOption = Annotated[
    str,
    typer.Option(
        "--views",
        help="Clips x crops such as 4x3, or a name in evaluate.views; crops: 1, 3, 5 or 10.",
        autocompletion=view_names,
    ),
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="CLIP's weights: official name or file. Default: model.weights.",
        autocompletion=weight_names,
        show_default=False,
    ),
]
CheckpointOption = Annotated[
    Path | None, typer.Option("--checkpoint", help="Trained video branch. Default: CLIP without a head.")
]
CorpusOption = Annotated[
    Path | None, typer.Option("--attributes", help="Attribute corpus (JSON): for the attribute branch, without frames.")
]
StateOption = Annotated[
    Path | None,
    typer.Option("--state", help="Folder of finished work to go on from. Default: beside OUT.", show_default=False),
]
TrainStateOption = Annotated[
    Path | None,
    typer.Option("--state", help="Folder of the state to go on from. Default: beside the model.", show_default=False),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Start over, whatever state an earlier run left.")]
LiveOption = Annotated[
    Path | None, typer.Option("--live", help="Folder of the training curves (DVCLive).", show_default=False)
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Replace what is in the way, also finished work of other settings.")
]
AllowOption = Annotated[
    str | None,
    typer.Option(
        "--allow-mismatch",
        help="What may contradict the checkpoint or the shards, such as frames,prompt; metrics.json tells.",
        show_default=False,
    ),
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Another seed than the params file's.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds that decoding a video may take.")]


def _of_this_machine(context: typer.Context, option: typer.CallbackParam, value: Any) -> Any:
    """What ``machine.yaml`` says where neither the command line nor a variable does: stages take the same."""
    name = str(option.name)
    source = context.get_parameter_source(name)
    if source is None or source.name != "DEFAULT" or not Path("machine.yaml").exists():
        return value  # without the import of a schema that most commands need later, if at all
    from bike.params import load_machine

    return getattr(load_machine(), name)


DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        envvar="BIKE_DEVICE",
        help="cpu, cuda or cuda:N. Default: machine.yaml's, or a GPU where there is one.",
        callback=_of_this_machine,
        show_default=False,
    ),
]
WorkersOption = Annotated[
    int,
    typer.Option(
        "--workers",
        envvar="BIKE_WORKERS",
        min=0,
        help="Processes that load frames; 0: this process loads them itself. Default: machine.yaml's, or 2.",
        callback=_of_this_machine,
        show_default=False,
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        envvar="BIKE_JOBS",
        min=1,
        help="Videos at a time. Default: machine.yaml's, or one per core.",
        callback=_of_this_machine,
        show_default=False,
    ),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(metavar="tcp://…", help="Work on a Dask cluster (extra bike-video\\[dask]).", show_default=False),
]
PartOption = Annotated[
    str | None,
    typer.Option(
        "--part",
        metavar="i/n|slurm",
        help="Do the i-th of n parts, on any machine and in any order; slurm: the one of this array task.",
        show_default=False,
    ),
]
MergeOption = Annotated[bool, typer.Option("--merge", help="Make the result of the parts; all must be there.")]
DecoderOption = Annotated[
    Literal["pyav", "decord"], typer.Option("--decoder", help="Of video files, also of those in shards.")
]
TemporalOption = Annotated[
    Literal["none", "transf"] | None,
    typer.Option("--temporal", help="Temporal head. Default: that of the params file, or of the checkpoint."),
]
InteractionOption = Annotated[
    Literal["dp", "vcs"] | None,
    typer.Option("--interaction", help="How frames meet class names. Default: as for --temporal."),
]


def place_of(
    device: str | None, workers: int, state: Path | None, part: str | None, merge: bool, follow_links: bool
) -> Place:
    """Where and how a command goes through a list that may be done in parts.

    Raises:
        ParamsError: as :func:`split_of`.
    """
    from bike.runtime.checkpoint import Place

    return Place(
        device=device, workers=workers, state_dir=state, split=split_of(part, merge), follow_links=follow_links
    )


def split_of(part: str | None, merge: bool) -> Split | None:
    """What ``--part`` and ``--merge`` ask for: a part, the merge, or all in one run.

    Raises:
        ParamsError: both are given, or there is no such part.
    """
    import os

    from bike.errors import ParamsError
    from bike.files.parts import MERGE, parse_part

    if part is not None and merge:
        raise ParamsError("--part, --merge: both are given; give one.")
    if part is not None:
        return parse_part(part, os.environ)
    return MERGE if merge else None


def read_params(
    file: Path | None, settings: list[str] | None, allow_mismatch: str | None = None, *, out: Path | None = None
) -> Params:
    """The params file, or the published settings without one, under ``--set`` and ``--allow-mismatch``.

    Its ``numerics`` hold from here on, so this comes before anything that imports torch.

    Args:
        file, settings, allow_mismatch: of the command line.
        out: what the command writes, which must not be the file or ``machine.yaml``.

    Raises:
        ParamsError: the file, a value or a word is bad; each is named.
        BikeError: its numerics can't be had, or ``out`` is read.
    """
    from typing import get_args

    from bike.errors import ParamsError, nearest
    from bike.files import check_not_read
    from bike.params import Mismatch, load_params_or_defaults
    from bike.runtime.numerics import choose_numerics

    if out is not None and out.exists():
        check_not_read([out], [file, "machine.yaml"])
    params, words = load_params_or_defaults(file, settings or ()), allow_mismatch
    choose_numerics(params.numerics)
    if words is None:
        return params
    names = [word.strip() for word in words.split(",")]
    allowed = get_args(Mismatch)
    for name in names:
        if name not in allowed:
            raise ParamsError(
                f"--allow-mismatch: unknown (got {name!r}); {', '.join(allowed)} are allowed.{nearest(name, allowed)}"
            )
    # Not through parse_params: which values the file states must stay known.
    return params.model_copy(update={"model": params.model.model_copy(update={"allow_mismatch": names})})


def params_with(
    params: Path | None, settings: list[str] | None, section: str, *, out: Path | None = None, **chosen: object
) -> Params:
    """As :func:`read_params`, under what the command line chose for a section.

    Args:
        params, settings, out: as there.
        section: such as ``demo_data``.
        chosen: key of the section -> value; None leaves the file's.

    Raises:
        ParamsError: the file or a chosen value is bad; each is named.
    """
    from bike.params import parse_params

    tree = read_params(params, settings, out=out).model_dump()
    tree[section] |= {name: value for name, value in chosen.items() if value is not None}
    return parse_params(tree, "options")
