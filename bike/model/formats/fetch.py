"""Fetch a published weight file once: with progress, resumed where it was cut, believed only by its checksum."""

from __future__ import annotations

import fcntl
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from bike.errors import BikeError, WeightsError, nearest, one_line
from bike.files import sha256, unwritable
from bike.model.formats.official import OFFICIAL_FILES, OFFICIAL_URL, OfficialFile, cache_folder, find_official
from bike.progress import Progress, log, progress

BLOCK_BYTES = 2**20
MAX_BYTES = 8 * 2**30  # more than any published file has; a server that never ends is cut off
TIMEOUT_SECONDS = 30.0
MAX_CONNECTIONS = 1000  # to one server for one file


def resolve(name_or_path: Path | str) -> Path:
    """The weight file that a user means, fetched first when it is an official one that is not here yet.

    Args:
        name_or_path: an official name such as ``ViT-B/32``, or the path of a file or folder.

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
    path = cache_folder() / official.file
    if not path.is_file():
        return fetch(official)
    about = path.stat()
    if _checksum(path, about.st_size, about.st_mtime_ns) != official.sha256:
        log.warning(
            "%s: not OpenAI's file for %s (another checksum), used as it is. `bike weights fetch %s` gets that one.",
            path,
            official.name,
            official.name,
        )
    return path


@cache
def _checksum(path: Path, _size: int, _mtime_ns: int) -> str:
    return sha256(path)


def fetch(
    official: OfficialFile,
    *,
    folder: Path | None = None,
    mirrors: Sequence[str] = (),
    attempts: int = 5,
    wait_seconds: float = 1.0,
) -> Path:
    """Bring a file into the cache folder. One that is there already is checked, and fetched anew when it is not right.

    Args:
        official: which file.
        folder: where to; None is :func:`cache_folder`.
        mirrors: URLs to try in turn in place of OpenAI's: of the file itself, or of the folder it lies in; ``{sha256}``
            and ``{file}`` in them are filled in. ``$BIKE_WEIGHTS_MIRROR`` is used when none is given.
        attempts: how often in a row a server may fail without sending anything.
        wait_seconds: pause after the first failure; doubles each time.

    Returns:
        The file, whose checksum is right. It appears under its name only then; what came before a cut stays in a
        ``.part`` file beside it, from where the next call goes on.

    Raises:
        WeightsError: no server had the right file.
    """
    path = (folder or cache_folder()) / official.file
    chosen = list(mirrors) or [url for url in [os.environ.get("BIKE_WEIGHTS_MIRROR")] if url] or [OFFICIAL_URL]
    urls = [_file_url(url, official) for url in chosen]
    failures = []
    with _locked(path):
        if path.is_file():
            if sha256(path) == official.sha256:
                return path
            log.warning("%s: not the published file of %s; fetched anew", path, official.name)
        for url in urls:
            try:
                _fetch_from(url, path, official, attempts=attempts, wait_seconds=wait_seconds)
            except WeightsError as error:
                failures.append(one_line(error))
            else:
                return path
    raise WeightsError(
        f"{official.name}: {'; '.join(failures)}. Try again later, name another --mirror, or put {official.file} into "
        f"{path.parent} yourself."
    )


def _file_url(url: str, official: OfficialFile) -> str:
    if not url.lower().startswith(("http://", "https://")):
        raise WeightsError(f"{one_line(url)}: not a mirror's URL; http:// and https:// are understood.")
    filled = url.replace("{sha256}", official.sha256).replace("{file}", official.file)
    return filled if filled.endswith(f"/{official.file}") else f"{filled.rstrip('/')}/{official.file}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process fetch while the others wait; the lock goes with the process."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.lock").open("w")
    except OSError as error:
        raise unwritable(path, error) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_from(url: str, path: Path, official: OfficialFile, *, attempts: int, wait_seconds: float) -> None:
    """Fetch from one server, going on after cuts for as long as the tries bring something."""
    part = path.with_name(f"{path.name}.part")
    failed, reason = 0, "cut too often"
    for _ in range(MAX_CONNECTIONS):
        before = _size(part)
        try:
            _download(url, part, official.name)
        except urllib.error.HTTPError as error:
            reason = f"HTTP status {error.code} {one_line(error.reason)}"
            failed = attempts if error.code < 500 and error.code not in (408, 429) else failed + 1
        except (http.client.HTTPException, OSError) as error:
            reason = one_line(getattr(error, "reason", None) or error) or type(error).__name__
            failed = 1 if _size(part) > before else failed + 1
        else:
            found = sha256(part)
            if found == official.sha256:
                os.replace(part, path)
                return
            part.unlink()
            reason = f"sent another file (SHA-256 {found[:16]}…; {official.sha256[:16]}… is right)"
            # After a resumed download the start may have come from somewhere else: once more, from the first byte.
            failed = attempts if before == 0 else attempts - 1
        if failed >= attempts:
            break
        log.warning("%s: %s; going on from byte %d", url, reason, _size(part))
        time.sleep(wait_seconds * 2 ** (failed - 1))
    raise WeightsError(f"{url}: {reason}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _download(url: str, part: Path, name: str) -> None:
    """Append to ``part`` what is missing of it; write it anew where the server ignores ranges.

    Raises:
        OSError: the connection failed or was cut; what came is in ``part``. So does http.client.HTTPException.
        BikeError: ``part`` can't be written, or the disk is full.
    """
    have = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": "bike", "Accept-Encoding": "identity"})  # noqa: S310
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)  # noqa: S310 - http(s) only, see _file_url
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # nothing comes after what we have: it is whole, or another file
            return
        raise
    with response:
        start = _first_byte(response, have)
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        _check_room(part, total, start)
        with progress(f"fetch {name}", total and total // BLOCK_BYTES, unit="MiB") as job:
            size = _copy(response, part, start, job)
    if total is not None and size < total:
        raise OSError(f"the connection was cut after {size} of {total} bytes")


def _first_byte(response: http.client.HTTPResponse, have: int) -> int:
    """Which byte of the file the response begins with: 0 for a server that ignores ranges."""
    if response.status != 206:
        return 0
    match = re.match(r"bytes (\d{1,18})-", response.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != have:
        raise OSError(f"the server sent another range than the one from byte {have} on")
    return have


def _check_room(part: Path, total: int | None, start: int) -> None:
    if total is not None and total > MAX_BYTES:
        raise WeightsError(f"{part.name}: the server offers {total} bytes; no published file is so large.")
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - start > free:
        raise BikeError(f"{part.parent}: {total - start} bytes are needed and {free} are free. Set $BIKE_WEIGHTS.")


def _copy(response: http.client.HTTPResponse, part: Path, start: int, job: Progress) -> int:
    """Write the response behind the first ``start`` bytes of ``part``; returns the size it then has."""
    size = start
    job.advance(size // BLOCK_BYTES)
    try:
        file = part.open("ab" if start else "wb")
    except OSError as error:
        raise unwritable(part, error) from error
    with file:
        while block := response.read1(BLOCK_BYTES):
            try:
                file.write(block)
            except OSError as error:
                raise unwritable(part, error) from error
            size += len(block)
            job.advance(size // BLOCK_BYTES - job.done)
            if size > MAX_BYTES:
                raise WeightsError(f"{part.name}: the server doesn't stop sending; no published file is so large.")
    return size
