"""``bike init``: makes a project in a folder, or renews the generated files of one and keeps what people edited."""

from __future__ import annotations

import difflib
import hashlib
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bike.errors import BikeError, ParamsError
from bike.files import OutputFolder, atomic_write, ensure_dir, read_json, read_text, write_json
from bike.params import parse_params, read_tree
from bike.project.code import write_code
from bike.project.media import NAME as MEDIA
from bike.project.media import NO_VIDEOS, read_media_file, write_media, write_no_media
from bike.project.protocol import KINDS, NAME, Protocol, load_protocol, plan, with_lists
from bike.project.render import params_tree, render, stages_of
from bike.project.tools import DVC, call
from bike.trees.overrides import merge, overrides

RECORD = ".bike.json"  # generated file -> SHA-256 of what was generated, so that an edit is known for one
ANNOTATION = "annotation"
GENERATED = ("dvc.yaml", "params.yaml", NAME, ".gitignore", ".dvcignore", "README.md", MEDIA)


@dataclass
class Report:
    """What was done to a project's files."""

    written: list[str] = field(default_factory=list)  # files that are new or renewed; of folders, their names
    # edited files that were kept -> how the generated text differs now, as a unified diff
    kept: dict[str, str] = field(default_factory=dict)
    stages: list[str] = field(default_factory=list)  # stages whose code is another one
    missing: list[str] = field(default_factory=list)  # what must be named before `dvc repro`, and how


def init_project(
    name: str | None,
    folder: Path,
    *,
    videos: Path | None = None,
    annotation: Path | None = None,
    settings: Sequence[str] = (),
    follow_links: bool = False,
) -> Report:
    """Make a project, or renew one. Parameters and places are checked before the first file is written.

    Args:
        name: a row of the zoo or a kind of one's own data; None for what the project is already.
        folder: where; made if need be.
        videos: folder or tar of videos; needed the first time for ``folders``, whose names are the classes. Without
            it media.csv names none yet.
        annotation: the annotation's file or folder, which is copied; needed the first time for ``csv`` and
            ``published``, whose lists it says.
        settings: ``train.lr=1e-5`` …, over the row's parameters, or over params.yaml where there is one.
        follow_links: as :func:`bike.project.media.write_media`.

    Raises:
        BikeError: what is needed is missing or wrong; the folder holds another project, or somebody else's files under
            the names of ours; or git or DVC fail.
    """
    there = (folder / NAME).is_file()
    if name is None:
        name = load_protocol(folder).name
    elif there and load_protocol(folder).name != name:
        raise BikeError(f"{folder}: is a project of {load_protocol(folder).name}. Choose another folder for {name}.")
    protocol, tree, classes = plan(name)
    stated = read_tree(folder / "params.yaml") if there else tree
    tree = merge(stated, overrides(settings))
    params = parse_params(tree, "--set" if settings else str(folder / "params.yaml"))
    source = _source(protocol, folder, videos, annotation, there)
    if videos is not None and (folder / "machine.yaml").is_file():
        read_tree(folder / "machine.yaml")
    report, files = Report(), dict(classes)
    if not there and not (folder / RECORD).is_file():
        OutputFolder(ensure_dir(folder), "init").check([*GENERATED, ANNOTATION, *files])
        write_json(folder / RECORD, {})  # the names are ours from here on, also after a run that is killed
    for file, text in classes.items():  # class names, which the annotation may need
        if not (folder / file).exists():
            _write(folder / file, text)
            report.written.append(file)
    by_folders = protocol.reader == "folders"
    if by_folders and videos is not None:
        write_media(videos, ensure_dir(folder) / MEDIA, follow_links=follow_links)
    if source is not None:
        protocol = with_lists(protocol, source, folder)
    if videos is not None:
        if not by_folders:
            write_media(videos, folder / MEDIA, follow_links=follow_links)
        _set_machine(folder / "machine.yaml", str(videos.resolve()))
        report.written += [MEDIA, "machine.yaml"]
    elif not (folder / MEDIA).is_file():
        write_no_media(folder / MEDIA)
        report.written.append(MEDIA)
    if annotation is not None:
        _copy(annotation, folder / ANNOTATION)
        report.written.append(ANNOTATION)
    tree = params_tree(protocol, tree)
    files |= render(protocol, tree, params)
    if there and read_tree(folder / "params.yaml") == tree:
        del files["params.yaml"]  # it says the same already, in its author's words
    _write_files(folder, files, report, forced={"params.yaml"})
    changed = write_code(folder, stages_of(protocol))
    report.written += [f"code/{stage}.txt" for stage in changed]
    report.stages = changed if there else []
    report.missing = [*missing_videos(folder), *missing_annotation(protocol, folder)]
    report.written += _init_tools(folder, with_annotation=annotation is not None)
    return report


def missing_videos(folder: Path) -> list[str]:
    """What to do where a project's media.csv names no videos yet; nothing where it does."""
    return [] if read_media_file(folder / MEDIA) else [f"{MEDIA}: {NO_VIDEOS}"]


def missing_annotation(protocol: Protocol, folder: Path) -> list[str]:
    """What to do where a project's annotation is not there; nothing where it is, or none is needed."""
    if protocol.reader == "folders" or (folder / ANNOTATION).exists():
        return []
    return [f"{ANNOTATION}/: absent. Run `bike init . --annotation …`, or `dvc pull` in a clone."]


def _source(protocol: Protocol, folder: Path, videos: Path | None, annotation: Path | None, there: bool) -> Path | None:
    """Where the annotation is to be read from; None for a row's that is not there yet, whose lists are known."""
    if videos is not None and not videos.exists():
        raise ParamsError(
            f"--videos: no such folder or file (got {str(videos)!r}). Correct it, or leave it out and name the videos "
            "in machine.yaml once they are there."
        )
    if protocol.reader == "folders":
        if videos is None and not (folder / MEDIA).is_file():
            raise ParamsError("--videos: needed the first time, since the folders' names are the classes.")
        if annotation is not None:
            raise ParamsError("--annotation: folders need none, their names are the classes. Leave it out.")
        return folder / MEDIA
    if annotation is not None:
        if not annotation.exists():
            raise ParamsError(f"--annotation: no such folder or file (got {str(annotation)!r}).")
        return annotation
    if not (folder / ANNOTATION).exists():
        if protocol.task != "own":
            return None
        remedy = "Fetch it with `dvc pull`, or give it again." if there else "It is needed the first time."
        raise ParamsError(f"--annotation: the annotation's file or folder is not there. {remedy}")
    return folder / ANNOTATION


def _write_files(folder: Path, files: Mapping[str, str], report: Report, *, forced: set[str]) -> None:
    """Write what is new; keep what was edited since it was generated, and say how it differs."""
    record = read_json(folder / RECORD) if (folder / RECORD).is_file() else {}
    if not isinstance(record, dict):
        raise BikeError(f"{folder / RECORD}: not what `bike init` wrote. Remove it; edited files are then renewed.")
    for name, text in files.items():
        path = folder / name
        current = read_text(path, exact=True) if path.is_file() else None
        edited = current is not None and record.get(name) not in (None, _digest(current))
        if current != text and (not edited or name in forced):
            _write(path, text)
            report.written.append(name)
        elif edited and current is not None and record[name] != _digest(text):
            lines = difflib.unified_diff(
                current.splitlines(), text.splitlines(), f"{name} (yours)", f"{name} (generated)", lineterm="", n=0
            )
            report.kept[name] = "\n".join(lines)
        record[name] = _digest(text)
    write_json(folder / RECORD, record)


def _write(path: Path, text: str) -> None:
    with atomic_write(path, "w") as file:
        file.write(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _copy(source: Path, target: Path) -> None:
    """Copy an annotation into the project; whole or not at all."""
    if target.exists() and source.resolve() == target.resolve():
        return
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    if source.is_dir():
        shutil.copytree(source, part)
    else:
        part.mkdir(parents=True)
        shutil.copy(source, part / source.name)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)


def _set_machine(path: Path, videos: str) -> None:
    """Write where the videos are into machine.yaml; its other lines stay."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML()  # which keeps comments; read_tree, which is careful, was first
    tree: Any = (yaml.load(read_text(path)) if path.is_file() else None) or {}
    tree["videos"] = videos
    text = StringIO()
    yaml.dump(tree, text)
    _write(path, text.getvalue())


def _init_tools(folder: Path, *, with_annotation: bool) -> list[str]:
    """git and DVC, where there is none above: in a DVC project above, this one is a part of it and shares its cache.

    Returns:
        What they wrote here.
    """
    written = []
    above = [folder.resolve(), *folder.resolve().parents]
    git = next((place for place in above if (place / ".git").exists()), None)
    new = git is None and shutil.which("git") is not None
    if new:
        call(folder, "git", "init", "--quiet")
        git = folder.resolve()
        written.append(".git")
    if not any((place / ".dvc").is_dir() for place in above):
        # A folder's files, such as .dvcignore, are ours already.
        how = [] if git == folder.resolve() else ["--subdir"] if git else ["--no-scm"]
        call(folder, *DVC, "init", "--quiet", *how)
        written.append(".dvc")
    if with_annotation:
        call(folder, *DVC, "add", "--quiet", ANNOTATION)
        written.append(f"{ANNOTATION}.dvc")
    if new:  # DVC's experiments and training curves need a first commit, also of people who never told git their name
        named = subprocess.run(("git", "config", "user.email"), cwd=folder, capture_output=True, check=False).stdout
        identity = [] if named else ["-c", "user.name=bike init", "-c", "user.email=bike@localhost"]
        call(folder, "git", "add", "--all")
        call(folder, "git", *identity, "commit", "--quiet", "--message", "Made by bike init")
    return written


def check_name(name: str) -> bool:
    """Whether a word is a row or a kind, not a folder."""
    from bike.zoo import load_zoo

    return name in KINDS or name in load_zoo()
