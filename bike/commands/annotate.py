"""``bike annotate``: official annotation files to lists, with an audit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bike.commands.options import FollowLinksOption, ReplaceOption, SetOption, read_params

if TYPE_CHECKING:
    from bike.annotate.audit import Audit
    from bike.params import Annotate

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="""Make the lists of a data set from its official annotation, and say what does not fit the videos.

    Written are {train,val,test}.csv and .txt, labels.csv and audit.csv. Nothing is dropped without a row there.

    \b
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
Labels = Annotated[Path | None, typer.Option(help="Class names: a CSV `id,name`, or one name a line.")]
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
FirstId = Annotated[int, typer.Option(min=0, max=1, help="1 where class ids count from 1.")]

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
}


def _register(dataset: str, text: str) -> None:
    """Make the command of a data set that needs no options of its own."""
    folder = "my_videos" if dataset == "folders" else f"annotations/{dataset}"
    example = f"bike annotate {dataset} --source {folder} --media frames/{dataset} --out lists/{dataset}"

    @app.command(dataset, help=f"{text}\n\n\b\n{example}", short_help=text)
    def command(
        source: Source,
        out: Out,
        media: Media = None,
        labels: Labels = None,
        split: Annotated[
            int | None,
            typer.Option(min=1, max=3, help="UCF-101, HMDB-51: official split. Default: all three, in split1 …"),
        ] = None,
        policy: Policy = None,
        params: ParamsFile = None,
        setting: SetOption = None,
        min_frames: MinFrames = None,
        names: Names = None,
        follow_links: FollowLinksOption = False,
        replace: ReplaceOption = False,
    ) -> None:
        from bike.annotate.run import OFFICIAL_SPLITS
        from bike.errors import ParamsError

        if split is not None and dataset not in OFFICIAL_SPLITS:
            raise ParamsError(
                f"--split: {dataset} has no numbered splits (only {', '.join(OFFICIAL_SPLITS)}). Omit it."
            )
        policies = _policies(policy, params, setting, min_frames, names)
        options = {"labels": labels, "fold": split, "follow_links": follow_links}
        _run(dataset, source, media, out, policies, options, replace)


# Not from the readers' table in bike.annotate.run: that would import all readers for `bike --help`.
for _dataset, _text in DATASETS.items():
    _register(_dataset, _text)


@app.command("csv")
def annotate_csv(
    source: Source,
    out: Out,
    media: Media = None,
    labels: Labels = None,
    path_column: Annotated[str | None, typer.Option(help="Default: path, video, file …")] = None,
    label_column: Annotated[str | None, typer.Option(help="Default: label, class …; integers or names.")] = None,
    name_column: Annotated[str | None, typer.Option(help="Names of integer labels. Default: name …")] = None,
    split_column: Annotated[str | None, typer.Option(help="Default: split, set or subset.")] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="What a value of that column means, such as fold1=train; `fold9=` leaves its rows out."),
    ] = None,
    default_split: Annotated[str, typer.Option(help="Split of rows that state none.")] = "train",
    first_id: FirstId = 0,
    policy: Policy = None,
    params: ParamsFile = None,
    setting: SetOption = None,
    min_frames: MinFrames = None,
    names: Names = None,
    follow_links: FollowLinksOption = False,
    replace: ReplaceOption = False,
) -> None:
    """Any CSV with a path and a label column; name, split, start and end are read where they are there.

    \b
    bike annotate csv --source clips.csv --media videos --out lists/mine
    bike annotate csv --source clips.csv --media videos --out lists/mine --split a=train --split b=test
    """
    policies = _policies(policy, params, setting, min_frames, names)
    options = {
        "labels": labels,
        "path_column": path_column,
        "label_column": label_column,
        "name_column": name_column,
        "split_column": split_column,
        "splits": dict(_pairs("--split", split)),
        "default_split": default_split,
        "first_id": first_id,
        "follow_links": follow_links,
    }
    _run("csv", source, media, out, policies, options, replace)


@app.command("published")
def annotate_published(
    source: Source,
    out: Out,
    media: Media = None,
    labels: Labels = None,
    layout: Annotated[
        Literal["auto", "frames", "videos", "labels"],
        typer.Option(help="frames: <dir> <frames> <label>; videos: <file> <label>; labels: more labels; auto looks."),
    ] = "auto",
    first_id: FirstId = 0,
    policy: Policy = None,
    params: ParamsFile = None,
    setting: SetOption = None,
    min_frames: MinFrames = None,
    names: Names = None,
    follow_links: FollowLinksOption = False,
    replace: ReplaceOption = False,
) -> None:
    """Lists as published repositories have them: a .txt file, or a folder whose lists say train, val or test.

    \b
    bike annotate published --source k400/val.txt --labels k400/labels.csv --media frames/k400 --out lists/k400
    """
    policies = _policies(policy, params, setting, min_frames, names)
    options = {"labels": labels, "layout": layout, "first_id": first_id, "follow_links": follow_links}
    _run("published", source, media, out, policies, options, replace)


@app.command("few-shot")
def few_shot(
    source: Annotated[Path, typer.Argument(metavar="LIST", help="A list CSV, such as lists/ucf101/split1/train.csv.")],
    shots: Annotated[int, typer.Option(min=1, help="Videos of each class.")],
    out: Annotated[Path, typer.Option(help="The list to write, .csv; the published form goes beside it.")],
    seed: Annotated[int, typer.Option(min=0, help="Another seed chooses other videos.")] = 0,
    repeat: Annotated[bool, typer.Option("--repeat", help="Repeat the videos up to the length of LIST.")] = False,
    labels: Labels = None,
    replace: ReplaceOption = False,
) -> None:
    """Choose K videos of each class; the same file serves every process of a training run.

    \b
    bike annotate few-shot lists/ucf101/split1/train.csv --shots 4 --seed 0 --out lists/ucf101/split1/train-4.csv
    """
    from bike.annotate.few_shot import write_few_shot

    samples = write_few_shot(source, out, shots=shots, seed=seed, repeat=repeat, labels=labels, replace=replace)
    typer.echo(f"{out}: {len(samples)} samples, {shots} videos of each of {len({s.labels for s in samples})} classes")


def _run(
    dataset: str,
    source: Path,
    media: Path | None,
    out: Path,
    policies: Annotate,
    options: dict[str, Any],
    replace: bool,
) -> None:
    from bike.annotate.entries import ReadOptions
    from bike.annotate.run import annotate

    done = annotate(dataset, source, media, out, policies=policies, options=ReadOptions(**options), replace=replace)
    _show(done, out)


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


def _show(audit: Audit, out: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from bike.annotate.audit import KINDS

    console = Console(soft_wrap=True)  # paths stay whole for those who copy them
    videos = "videos not looked at" if audit.videos is None else f"{audit.videos} videos"
    console.print(f"{escape(audit.dataset)}: {audit.annotated} annotated, {videos}, {audit.classes} classes")
    counts = audit.counts()
    if counts:
        table = Table("finding", "count", "done", "meaning", box=None, pad_edge=False)
        for (kind, action), count in counts.items():
            table.add_row(kind, str(count), {"drop": "dropped", "keep": "kept"}[action], KINDS[kind])
        console.print(table)
    for note in audit.notes:
        console.print(f"Note: {escape(note)}")
    lists = ", ".join(f"{name} {count}" for name, count in audit.lists.items())
    console.print(f"{escape(str(out))}: {escape(lists)}; findings in audit.csv")
