"""Fetch a published weight file once: with progress, resumed where it was cut, believed only by its checksum."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bike.errors import BikeError, WeightsError, nearest, one_line
from bike.files import locked, sha256, unwritable
from bike.files.download import download
from bike.model.formats.official import OFFICIAL_FILES, OFFICIAL_URL, OfficialFile, find_official, weights_folder
from bike.model.formats.read import find_file
from bike.progress import log

MAX_BYTES = 8 * 2**30  # more than any published file has
TIMEOUT_SECONDS = 30.0
PAUSE_SECONDS = 1.0


def resolve(name_or_path: Path | str) -> Path:
    """The weight file that an official name or a path means, fetched first when it is an official one not yet here.

    Raises:
        WeightsError: neither; or the official file can't be fetched.
    """
    text = str(name_or_path)
    official = OFFICIAL_FILES.get(text)
    if official is None and Path(name_or_path).exists():
        return Path(name_or_path)
    official = official or find_official(text)
    if official is None:
        raise WeightsError(
            f"{one_line(text)}: no such file, and no official name.{nearest(text, OFFICIAL_FILES)} "
            f"Official are: {', '.join(OFFICIAL_FILES)}."
        )
    path = weights_folder() / official.file
    if not path.is_file():
        return fetch(official)
    about = path.stat()
    # A file that a user put there by hand is theirs to choose: it is never replaced behind their back.
    if _checksum(path, about.st_size, about.st_mtime_ns) != official.sha256:
        log.warning(
            "%s: not OpenAI's file for %s (another checksum), used as it is. `bike weights fetch %s` gets that one.",
            path,
            official.name,
            official.name,
        )
    return path


def run_weights(name_or_path: Path | str, named_by: str) -> Path:
    """The weight file of a run; where there is none, the error says what names another.

    Args:
        name_or_path: an official name, a file, or a folder as Hugging Face lays it out.
        named_by: options and parameters, such as ``model.weights``.

    Raises:
        WeightsError: no such file, or an official one that can't be fetched.
    """
    try:
        return find_file(resolve(name_or_path))
    except WeightsError as error:
        raise WeightsError(f"{error} Or name other weights ({named_by}).") from error


@cache  # a second for a large file; size and time are there for the cache alone
def _checksum(path: Path, _size: int, _mtime_ns: int) -> str:
    return sha256(path)


def fetch(official: OfficialFile, *, mirrors: Sequence[str] = ()) -> Path:
    """Bring a file into the cache folder. One that is there already is checked, and replaced when it is not right.

    Args:
        official: which file.
        mirrors: URLs to try in turn in place of OpenAI's: of the file itself, or of the folder it lies in; ``{sha256}``
            and ``{file}`` in them are filled in. ``$BIKE_WEIGHTS_MIRROR`` is used when none is given.

    Returns:
        The file, whose checksum is right. It appears under its name only then; what came before a cut stays in a
        ``.part`` file beside it, from where the next call goes on.

    Raises:
        WeightsError: no server had the right file.
        BikeError: the folder can't be written, or the disk is full.
    """
    path = weights_folder() / official.file
    chosen = list(mirrors) or [url for url in [os.environ.get("BIKE_WEIGHTS_MIRROR")] if url] or [OFFICIAL_URL]
    urls = [_file_url(url, official) for url in chosen]
    part = path.with_name(f"{path.name}.part")
    failures = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f".{path.name}.lock"), "fetching weights", wait=True):
            if path.is_file():  # looked at under the lock: another process may just have fetched it
                if sha256(path) == official.sha256:
                    return path
                log.warning("%s: not the published file of %s; fetched again", path, official.name)
            for url in urls:
                try:
                    download(
                        url,
                        part,
                        largest=MAX_BYTES,
                        sha256=official.sha256,
                        resume=True,
                        title=f"fetch {official.name}",
                        timeout_seconds=TIMEOUT_SECONDS,
                        pause_seconds=PAUSE_SECONDS,
                    )
                except BikeError as error:
                    failures.append(one_line(error))
                else:
                    part.replace(path)
                    return path
    except OSError as error:
        raise unwritable(path, error) from error
    raise WeightsError(
        f"{official.name}: {' '.join(failures)} Or try `bike weights fetch {official.name} --mirror URL`, or put "
        f"{official.file} into {path.parent} yourself."
    )


def _file_url(url: str, official: OfficialFile) -> str:
    if not url.lower().startswith(("http://", "https://")):
        raise WeightsError(f"{one_line(url)}: not a mirror's URL; http:// and https:// are understood.")
    filled = url.replace("{sha256}", official.sha256).replace("{file}", official.file)
    return filled if filled.endswith(f"/{official.file}") else f"{filled.rstrip('/')}/{official.file}"
