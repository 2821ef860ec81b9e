"""``bike annotate``: official annotation files to lists, with an audit."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bike.commands.common import JsonOption, answer
from bike.commands.options import FollowLinksOption, ReplaceOption, SetOption, params_with, read_params
from bike.errors import one_line

if TYPE_CHECKING:
    from bike.annotate.audit import Audit
    from bike.params import Annotate

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="""Make the lists of a data set from its official annotation, and say what does not fit the videos.

    Written are {train,val,test}.csv and .txt, labels.csv and audit.csv. Nothing is dropped without a row there.

    \b
    [bold]Examples[/bold]
      bike annotate ucf101 --source ucfTrainTestlist --media frames/ucf101/manifest.csv --out lists/ucf101
      bike annotate csv --source clips.csv --media videos --out lists/mine
      bike annotate few-shot lists/mine/train.csv --shots 4 --out lists/mine/train-4.csv""",
)


Source = Annotated[
    Path,
    typer.Option(help="Folder of the annotation as its publishers lay it out, or its file; your own videos, CSV."),
]
Media = Annotated[
    Path | None,
    typer.Option(help="manifest.csv of `bike extract`, or a folder of videos or frame folders. Without: not checked."),
]
Out = Annotated[Path, typer.Option(help="Folder for the lists.")]
Labels = Annotated[Path | None, typer.Option(help="Class names, CSV id,name or one a line.")]
Policy = Annotated[
    list[str] | None,
    typer.Option(help="FINDING=error, drop or keep, such as missing=error. May be given again.", metavar="F=ACTION"),
]
ParamsFile = Annotated[
    Path | None, typer.Option("--params", help="params.yaml whose section `annotate` has the policies.")
]
MinFrames = Annotated[int | None, typer.Option(min=1, help="Fewer frames than this is too short. Default: 8.")]
Names = Annotated[
    Literal["readable", "published"] | None,
    typer.Option(help="Class names for prompts: words, or as published. Default: readable."),
]
DATASETS = {
    "ucf101": "UCF-101: classInd.txt, trainlist0N.txt, testlist0N.txt.",
    "hmdb51": "HMDB-51: <class>_test_split{1,2,3}.txt.",
    "kinetics400": "Kinetics-400: CSVs with youtube_id, time_start, time_end.",
    "kinetics600": "Kinetics-600: CSVs with youtube_id, time_start, time_end.",
    "kinetics700": "Kinetics-700: CSVs with youtube_id, time_start, time_end.",
    "activitynet": "ActivityNet: activity_net.v1-3.json; segments for training, whole videos for evaluation.",
    "charades": "Charades: Charades_v1_{train,test}.csv, Charades_v1_classes.txt; several labels a video, times.",
    "sthv2": "Something-Something V2: train.json, validation.json, test.json, labels.json.",
    "folders": "Your own videos in a folder for each class, perhaps below train, val and test.",
    "csv": "Any CSV with a path and a label column; name, split, start and end are read where they are there.",
    "published": "Lists of published repositories: a .txt file, or a folder whose lists say train, val or test.",
}
EXAMPLES = {
    "csv": """--source clips.csv --media videos --out lists/mine
bike annotate csv --source clips.csv --media videos --out lists/mine --split a=train --split b=test""",
    "published": "--source k400/val.txt --labels k400/labels.csv --media frames/k400 --out lists/k400",
    "folders": "--source my_videos --media frames/folders --out lists/folders",
}

# What the commands of single data sets take beside the options of all: a field of ReadOptions, its type and default.
_FOLD = typer.Option("--split", min=1, max=3, help="UCF-101, HMDB-51: official split. Default: all three, in split1 …")
_FIRST_ID = typer.Option(min=0, max=1, help="1 where class ids count from 1.")
_SPLITS = typer.Option(
    "--split", help="What a value of that column means, as fold1=train; `fold9=` leaves its rows out."
)
_LAYOUT = typer.Option(help="frames: <dir> <frames> <label>; videos: <file> <label>; labels: more labels; auto looks.")
OWN: dict[str, dict[str, tuple[Any, Any]]] = {
    "csv": {
        "path_column": (Annotated[str | None, typer.Option(help="Default: path, video, file …")], None),
        "label_column": (Annotated[str | None, typer.Option(help="Default: label, class …; integers or names.")], None),
        "name_column": (Annotated[str | None, typer.Option(help="Names of integer labels. Default: name …")], None),
        "split_column": (Annotated[str | None, typer.Option(help="Default: split, set or subset.")], None),
        "splits": (Annotated[list[str] | None, _SPLITS], None),
        "default_split": (Annotated[str, typer.Option(help="Split of rows that state none.")], "train"),
        "first_id": (Annotated[int, _FIRST_ID], 0),
    },
    "published": {
        "layout": (Annotated[Literal["auto", "frames", "videos", "labels"], _LAYOUT], "auto"),
        "first_id": (Annotated[int, _FIRST_ID], 0),
    },
}


def _run(
    dataset: str,
    source: Source,
    out: Out,
    media: Media = None,
    labels: Labels = None,
    policy: Policy = None,
    params: ParamsFile = None,
    setting: SetOption = None,
    min_frames: MinFrames = None,
    names: Names = None,
    follow_links: FollowLinksOption = False,
    replace: ReplaceOption = False,
    as_json: JsonOption = False,
    **own: Any,
) -> None:
    """What every data set's command does; ``own`` are the fields of ReadOptions that only some have."""
    from bike.annotate.entries import ReadOptions
    from bike.annotate.run import annotate

    own["splits"] = dict(_pairs("--split", own.get("splits")))
    options = ReadOptions(labels=labels, follow_links=follow_links, **own)
    policies = _policies(policy, params, setting, min_frames, names)
    audit = annotate(dataset, source, media, out, policies=policies, options=options, replace=replace)
    if not as_json:
        _show(audit)
    document = {
        "folder": out,
        "dataset": audit.dataset,
        "annotated": audit.annotated,
        "videos": audit.videos,
        "classes": audit.classes,
        "lists": audit.lists,
        "findings": [{"finding": kind, "action": to, "count": n} for (kind, to), n in audit.counts().items()],
        "notes": audit.notes,
    }
    lines = [f"{one_line(out)}: {audit.list_counts()}; findings in audit.csv"]
    answer(document, lines, as_json=as_json, then=_next(out, audit.lists, media))


def _next(out: Path, lists: Iterable[str], media: Path | None) -> tuple[object, ...]:
    """Sharding the first list; where frames were not looked at, `FRAMES` stands for them."""
    name = min(lists, key=lambda name: not name.endswith("train"), default="")
    frames = media.parent if media is not None and media.name == "manifest.csv" else "FRAMES"
    return ("shard", out / f"{name}.csv", f"shards/{name}", "--frames", frames) if name else ()


def _register(dataset: str, text: str) -> None:
    """Make the command of a data set: the options of :func:`_run`, and its own."""

    def command(**given: Any) -> None:
        _run(dataset, **given)

    shared = [
        item for item in signature(_run, eval_str=True).parameters.values() if item.name not in ("dataset", "own")
    ]
    own = OWN.get(dataset, {"fold": (Annotated[int | None, _FOLD], None)})
    added = [
        Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=value) for name, (kind, value) in own.items()
    ]
    command.__signature__ = Signature([*shared, *added])  # type: ignore[attr-defined]
    usual = f"--source annotations/{dataset} --media frames/{dataset} --out lists/{dataset}"
    example = f"bike annotate {dataset} {EXAMPLES.get(dataset, usual)}"
    app.command(dataset, help=f"{text}\n\n\b\n[bold]Examples[/bold]\n  {example}", short_help=text)(command)


# Not from the readers' table in bike.annotate.run: that would import all readers for `bike --help`.
for _dataset, _text in DATASETS.items():
    _register(_dataset, _text)


@app.command("few-shot")
def few_shot(
    source: Annotated[Path, typer.Argument(metavar="LIST", help="A list CSV, such as lists/ucf101/split1/train.csv.")],
    out: Annotated[Path, typer.Option(help="The list to write, .csv; the published form goes beside it.")],
    shots: Annotated[int | None, typer.Option(min=1, help="Videos of each class; or --set annotate.shots.")] = None,
    setting: SetOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed chooses other videos. Default: 0.")] = None,
    repeat: Annotated[bool, typer.Option("--repeat", help="Repeat the videos up to the length of LIST.")] = False,
    labels: Labels = None,
    replace: ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Choose K videos of each class; the same file serves every process of a training run.

    \b
    [bold]Examples[/bold]
      bike annotate few-shot lists/ucf101/split1/train.csv --shots 4 --seed 0 --out lists/ucf101/split1/train-4.csv
    """
    from bike.annotate.few_shot import write_few_shot
    from bike.errors import ParamsError

    section = params_with(None, setting, "annotate", shots=shots, shots_seed=seed).annotate
    shots = section.shots
    if shots is None:
        raise ParamsError("--shots: missing; say how many videos of each class.")
    samples = write_few_shot(
        source, out, shots=shots, seed=section.shots_seed, repeat=repeat, labels=labels, replace=replace
    )
    classes = len({sample.labels for sample in samples})
    line = f"{out}: {len(samples)} samples, {shots} videos of each of {classes} classes"
    answer({"file": out, "samples": len(samples), "shots": shots, "classes": classes}, [line], as_json=as_json)


def _pairs(option: str, words: list[str] | None) -> list[tuple[str, str]]:
    from bike.errors import ParamsError

    bad = [word for word in words or () if "=" not in word]
    if bad:
        raise ParamsError(f"{option}: a pair with = is needed (got {bad[0]!r}), such as missing=error or a=train.")
    return [(word.partition("=")[0].strip(), word.partition("=")[2].strip()) for word in words or ()]


def _policies(
    policy: list[str] | None,
    params: Path | None,
    setting: list[str] | None,
    min_frames: int | None,
    names: Literal["readable", "published"] | None,
) -> Annotate:
    """The section of the params file, or its defaults, with the command line's changes."""
    from bike.params import parse_params

    section = read_params(params, setting).annotate.model_dump()
    # Through the same schema as params.yaml, so that a mistyped finding gets the same message.
    section.update(_pairs("--policy", policy))
    if min_frames is not None:
        section["min_frames"] = min_frames
    if names is not None:
        section["prompt_names"] = names
    return parse_params({"annotate": section}, "--policy").annotate


def _show(audit: Audit) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from bike.annotate.audit import DONE, KINDS

    console = Console(soft_wrap=True)  # paths stay whole for those who copy them
    console.print(escape(audit.summary()))
    counts = audit.counts()
    if counts:
        table = Table("finding", "count", "done", "meaning", box=None, pad_edge=False)
        for (kind, action), count in counts.items():
            table.add_row(kind, str(count), DONE[action], KINDS[kind])
        console.print(table)
    for note in audit.notes:
        console.print(f"Note: {escape(note)}")
