"""``bike check`` and the stage of that name: what a project needs and what is missing, before anything runs."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from bike.doctor.check import Check
from bike.doctor.machine import machine_settings
from bike.errors import BikeError, DataError, first_few, one_line
from bike.files import size_text
from bike.formats.lists import load_samples
from bike.model.formats.official import OFFICIAL_FILES, weights_folder
from bike.params import Params, load_machine, load_params, read_tree
from bike.project.code import CODE, check_code
from bike.project.dataset import load_datasets
from bike.project.hours import expected_hours
from bike.project.init import missing_annotation
from bike.project.media import NAME as MEDIA
from bike.project.media import check_media, read_media_file
from bike.project.protocol import Protocol, load_protocol
from bike.project.render import stages_of
from bike.project.takes import SHARD_SPEED, estimate, footage_of_source, hours_text, look_at, made
from bike.records import read_manifest
from bike.shard.run import missing_packs
from bike.zoo import load_zoo


def check_project(folder: Path, *, contents: bool = False, estimates: bool = True) -> list[Check]:
    """What is there and what is missing: parameters, code, videos, annotation, weights, disk, hours.

    Args:
        folder: of the project.
        contents: compare the videos' checksums as well, which reads them.
        estimates: say what will be taken, for which the headers of some videos are read.

    Returns:
        The findings; ``bad`` ones would end `dvc repro`.

    Raises:
        BikeError: the folder is no project.
    """
    protocol = load_protocol(folder)
    found = [Check("project", "ok", f"{protocol.name}: {protocol.title}")]
    params: Params | None = None
    try:
        params = load_params(folder / "params.yaml")
        found.append(Check("params", "ok", "all values are known and in range"))
    except BikeError as error:
        found.append(Check("params", "bad", one_line(error)))
    found.append(_try("code", lambda: _code(protocol, folder)))
    found.append(_try("git", lambda: _git(folder)))
    found.append(_try("machine.yaml", lambda: machine_settings(folder / "machine.yaml")))
    machine_is_read = found[-1].status == "ok"
    if machine_is_read:
        found.append(_try("videos", lambda: _videos(folder, contents)))
        if found[-1].status == "ok":
            found += _copy(protocol, folder)
    if protocol.reader != "folders":
        absent = missing_annotation(protocol, folder)
        found.append(Check("annotation", "bad" if absent else "ok", *(absent or ["annotation/"])))
    if params is not None:
        found += _weights(protocol, params, folder)
        found += _batch(protocol, params, folder)
    if params is not None and machine_is_read and estimates:
        found += _takes(protocol, params, folder)
        found += _hours(protocol)
    return found


def check_stage(folder: Path = Path()) -> None:
    """What the stage `check` does: raise for the first findings that are bad.

    Videos may be absent where neither extraction nor shards will run, the annotation where it is not read again.

    Raises:
        BikeError: one line that names all of them.
    """
    bad = [check for check in check_project(folder, estimates=False) if check.status == "bad"]
    if any(check.subject == "videos" for check in bad) and not _needs_videos(folder):
        bad = [check for check in bad if check.subject != "videos"]
    if any(check.subject == "annotation" for check in bad) and not _needs_annotation(folder):
        bad = [check for check in bad if check.subject != "annotation"]
    if bad:
        raise BikeError("; ".join(f"{check.subject}: {check.detail.rstrip('.')}" for check in bad) + ".")


def _try(subject: str, look: Callable[[], str]) -> Check:
    try:
        return Check(subject, "ok", look())
    except BikeError as error:
        return Check(subject, "bad", one_line(error))


def _code(protocol: Protocol, folder: Path) -> str:
    for stage in stages_of(protocol):
        check_code(stage, folder)
    return "that of the hash files"


def _git(folder: Path) -> str:
    def git(*words: str) -> bool:
        return subprocess.run(("git", *words), cwd=folder, capture_output=True, check=False).returncode == 0

    if shutil.which("git") is None or not git("rev-parse", "--git-dir"):
        if _needs_git(folder):
            raise DataError(
                "no repository, though DVC was set up in one (a zip download has none). "
                "Run `git init && git add . && git commit -m Start`."
            )
        return "no repository: results are kept, but `dvc exp` needs one"
    if not git("rev-parse", "--verify", "HEAD"):
        raise DataError("the repository has no commit, and training curves need one. Run `git add . && git commit`.")
    return "a repository with commits"


def _needs_git(folder: Path) -> bool:
    """Whether the DVC repository around a folder was set up within git: DVC then does nothing without it."""
    from dvc.config import Config
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        return not Config(Repo.find_dvc_dir(str(folder)))["core"].get("no_scm", False)
    except NotDvcRepoError:
        return False


def _videos(folder: Path, contents: bool) -> str:
    media = check_media(folder / MEDIA, load_machine(folder / "machine.yaml").videos, contents=contents)
    return f"{len(media)} videos, {size_text(sum(row.bytes for row in media))}, are there"


def _copy(protocol: Protocol, folder: Path) -> Iterator[Check]:
    """Whether the copy of a published data set is incomplete."""
    row = load_zoo().get(protocol.name)
    if row is None:
        return
    # What is scored alone may be a part of the data set.
    whole = load_datasets()[row.dataset].source.videos if protocol.lists.train else sum(protocol.lists.expected)
    if (there := len(read_media_file(folder / MEDIA))) < whole:
        remedy = "Results are of fewer videos than the published ones. Bring the others and run `bike manifest`"
        yield Check("copy", "note", f"{there:,} of {whole:,} videos. {remedy}.")


def _needs_videos(folder: Path) -> bool:
    """Whether `dvc repro` would decode videos: extract would run, or shards would and their frame packs are gone."""
    manifest = folder / "frames" / "manifest.csv"
    lock = read_tree(folder / "dvc.lock") if (folder / "dvc.lock").is_file() else {}
    stages = lock.get("stages", {})
    if _changed(folder, "extract", MEDIA):
        return True
    if not manifest.is_file():  # DVC fetches it, or passes it over (`--allow-missing`); no later result is here to lose
        return False
    outs = {out["path"]: out.get("md5") for stage in stages.values() for out in stage.get("outs", [])}
    # Otherwise DVC is about to bring another extraction's manifest and what came of it, and the packs stay as they are.
    is_pinned = _md5(manifest) == outs.get("frames/manifest.csv")
    if is_pinned and not missing_packs(load_samples(manifest), manifest.parent):
        return False
    words = [sys.executable, "-m", "dvc", "status", "--json", "annotate", "shard"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:  # where DVC can't say, what is absent counts
        return True
    return _is_other(json.loads(done.stdout), set() if is_pinned else set(outs))


def _is_other(status: dict[str, list[Any]], brought: set[str]) -> bool:
    """Whether `dvc status` names a change besides those of outputs that DVC will bring."""
    changes = [change for stage in status.values() for change in stage]
    paths = [path for change in changes if isinstance(change, dict) for some in change.values() for path in some]
    others = [path for path in paths if not {path, *map(str, PurePosixPath(path).parents)} & brought]
    return bool(others) or any(isinstance(change, str) for change in changes)


def _md5(path: Path) -> str:
    """As dvc.lock has it."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _needs_annotation(folder: Path) -> bool:
    """Whether `dvc repro` would read the annotation: annotate would run, also for another manifest."""
    return _changed(folder, "extract", MEDIA) or _changed(folder, "annotate")


def _changed(folder: Path, name: str, *files: str) -> bool:
    """Whether a stage would run for its code, its section or files of the project.

    Not asked of DVC, which holds `checked.txt` while the stage check runs.
    """
    lock = read_tree(folder / "dvc.lock") if (folder / "dvc.lock").is_file() else {}
    stage = lock.get("stages", {}).get(name, {})
    known = {dep["path"]: dep.get("md5") for dep in stage.get("deps", [])}
    for file in (f"{CODE}/{name}.txt", *files):
        if _md5(folder / file) != known.get(file):
            return True
    stated = read_tree(folder / "params.yaml").get(name)
    return bool(stage.get("params", {}).get("params.yaml", {}).get(name) != stated)


def _weights(protocol: Protocol, params: Params, folder: Path) -> Iterator[Check]:
    wanted = {"weights": params.model.weights, "start_from": params.model.start_from}
    if protocol.task == "fused":
        wanted["attribute weights"] = params.attributes.weights
    if protocol.task == "zeroshot":
        del wanted["weights"]  # the checkpoint has its own
        if params.model.start_from is None:
            yield Check("start_from", "bad", "model.start_from: the trained model that is evaluated must be named.")
    for subject, name in wanted.items():
        if name is None:
            continue
        official = OFFICIAL_FILES.get(name)
        if official is None:
            there = (folder / name).exists()
            yield Check(subject, "ok" if there else "bad", name if there else f"{name}: no such file. Put it there.")
        elif (weights_folder() / official.file).is_file():
            yield Check(subject, "ok", f"{name}, in {weights_folder()}")
        else:
            yield Check(subject, "note", f"{name}: will be fetched when it is needed (`bike weights fetch {name}`)")


def _batch(protocol: Protocol, params: Params, folder: Path) -> Iterator[Check]:
    """Whether an epoch has a whole batch; by the list, or by what the annotation had."""
    made = folder / "lists" / f"{protocol.lists.train}.csv"
    entries = len(load_samples(made)) if made.is_file() else protocol.lists.expected_train
    if protocol.lists.train and entries is not None and entries < params.train.batch_size:
        yield Check(
            "batch",
            "note",
            f"train.batch_size is {params.train.batch_size}, the training list has {entries} samples. Only whole "
            f"batches are trained on, so `dvc repro` will end at stage train. Set it to {entries} or less.",
        )


def _takes(protocol: Protocol, params: Params, folder: Path) -> Iterator[Check]:
    """Bytes and hours of packs and shards, and whether there is room for them."""
    media = read_media_file(folder / MEDIA)
    row = load_zoo().get(protocol.name)
    manifest, videos = folder / "frames" / "manifest.csv", load_machine(folder / "machine.yaml").videos
    about = "about "
    if manifest.is_file():
        about, takes, whence = "", made(read_manifest(manifest), params), "by frames/manifest.csv"
    elif media and videos is not None and Path(videos).exists():
        looked = look_at(media, folder / MEDIA, Path(videos))
        if not looked:
            yield Check(
                "packs", "note", "what they take isn't known: no video that was looked at has a header that tells"
            )
            return
        takes, whence = estimate(looked, params), f"by the headers of {len(looked)} of {len(media):,} videos"
    elif row is not None:
        source = load_datasets()[row.dataset].source
        takes, whence = estimate([footage_of_source(source)], params), f"for {source.videos:,} videos"
    else:
        return
    hours = f", {hours_text(takes.extract_hours)} on two cores" if about else ""
    kept = f"{takes.kept:,.0f} of {takes.decoded:,.0f} frames, {whence}"
    yield Check("packs", "ok", f"{about}{size_text(round(takes.pack_bytes))}{hours}: {kept}")
    shards = sum(row.bytes for row in media) if params.shard.payload == "mp4" and media else takes.shard_bytes
    yield Check("shards", "ok", f"about {size_text(round(shards))}, {hours_text(shards / SHARD_SPEED / 3600)}")
    wanted = shards + (takes.pack_bytes if about else 0.0)
    free = shutil.disk_usage(folder).free
    if wanted > free:
        remedy = "Make room, or keep fewer frames (extract.frames_per_video)"
        yield Check("disk", "note", f"{size_text(free)} are free, less than the {size_text(round(wanted))}. {remedy}.")
    else:
        yield Check("disk", "ok", f"{size_text(free)} are free")


def _hours(protocol: Protocol) -> Iterator[Check]:
    row = load_zoo().get(protocol.name)
    if row is not None:
        yield Check(
            "hours", "ok", f"about {expected_hours(row):.2g} on 8 GPUs of 60 TFLOP/s each, from the arithmetic alone"
        )


def renewed(stages: list[str]) -> str:
    """What `bike check --renew` says."""
    if not stages:
        return "code: as it was"
    return f"code: {first_few(stages, 20)} {'has' if len(stages) == 1 else 'have'} other code; `dvc repro` runs them"
