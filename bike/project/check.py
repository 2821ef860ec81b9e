"""``bike check`` and the stage of that name: what a project needs and what is missing, before anything runs."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from bike.doctor.check import Check
from bike.doctor.machine import machine_settings
from bike.errors import BikeError, DataError, first_few, one_line
from bike.formats.lists import load_samples
from bike.model.formats.official import OFFICIAL_FILES, weights_folder
from bike.params import Params, load_machine, load_params, read_tree
from bike.project.code import CODE, check_code
from bike.project.hours import expected_hours
from bike.project.media import NAME as MEDIA
from bike.project.media import check_media, read_media_file
from bike.project.protocol import Protocol, load_protocol
from bike.project.render import stages_of
from bike.shard.run import missing_packs
from bike.zoo import load_zoo


def check_project(folder: Path, *, contents: bool = False) -> list[Check]:
    """What is there and what is missing: parameters, code, videos, annotation, weights, disk, hours.

    With ``contents`` the videos' checksums are compared as well, which reads them.

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
    if found[-1].status == "ok":
        found.append(_try("videos", lambda: _videos(folder, contents)))
    if protocol.reader != "folders":
        there = (folder / "annotation").exists()
        detail = "annotation/" if there else f"annotation/: absent. Run `dvc pull`, or `bike init {protocol.name} . "
        found.append(Check("annotation", "ok" if there else "bad", detail if there else f"{detail}--annotation …`."))
    if params is not None:
        found += _weights(protocol, params, folder)
    found.append(_try("disk", lambda: _disk(folder)))
    found += _hours(protocol)
    return found


def check_stage(folder: Path = Path()) -> None:
    """What the stage `check` does: raise for the first findings that are bad.

    Videos may be absent where neither extraction nor shards will run.

    Raises:
        BikeError: one line that names all of them.
    """
    bad = [check for check in check_project(folder) if check.status == "bad"]
    if any(check.subject == "videos" for check in bad) and not _needs_videos(folder):
        bad = [check for check in bad if check.subject != "videos"]
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
    return f"{len(media)} videos, {sum(row.bytes for row in media) / 1e9:.3g} GB, are there"


def _needs_videos(folder: Path) -> bool:
    """Whether `dvc repro` would decode videos: extract would run, or shards would and their frame packs are gone."""
    manifest = folder / "frames" / "manifest.csv"
    if _extract_changed(folder):
        return True
    if not manifest.is_file():  # DVC fetches it, or passes it over (`--allow-missing`); no later result is here to lose
        return False
    if not missing_packs(load_samples(manifest), manifest.parent):
        return False
    words = [sys.executable, "-m", "dvc", "status", "--json", "annotate", "shard"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode != 0 or done.stdout.strip() != "{}"  # where DVC can't say, what is absent counts


def _extract_changed(folder: Path) -> bool:
    """Whether the stage extract would run. Not asked of DVC, which holds `checked.txt` while the stage check runs."""
    lock = read_tree(folder / "dvc.lock") if (folder / "dvc.lock").is_file() else {}
    stage = lock.get("stages", {}).get("extract", {})
    known = {dep["path"]: dep.get("md5") for dep in stage.get("deps", [])}
    for name in (MEDIA, f"{CODE}/extract.txt"):
        if hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest() != known.get(name):
            return True
    stated = read_tree(folder / "params.yaml").get("extract")
    return bool(stage.get("params", {}).get("params.yaml", {}).get("extract") != stated)


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


def _disk(folder: Path) -> str:
    size = sum(row.bytes for row in read_media_file(folder / MEDIA)) / 1e9
    free = shutil.disk_usage(folder).free / 1e9
    return f"{free:.3g} GB are free; the videos take {size:.3g} GB, frame packs and shards come on top"


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
