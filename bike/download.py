"""One file over HTTP or from S3, with retries that go on where the last try stopped."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bike.errors import BikeError, DataError, one_line

_BLOCK_BYTES = 1 << 20
_LEAST_BYTES_A_SECOND = 1000  # on average; what comes more slowly counts as broken off
_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class PassingError(Exception):
    """A failure that another try may not meet."""


def download(
    url: str,
    path: Path,
    *,
    size: int | None,
    sha256: str | None,
    largest: int | None,
    attempts: int,
    timeout_seconds: float,
    pause_seconds: float,
) -> None:
    """Fetch a file; bytes that ``path`` has already are kept.

    Args:
        url: ``http``, ``https`` or ``s3``.
        path: where to; it holds what came so far when this fails.
        size: bytes it must have; None when not known (then nothing is kept from before).
        sha256: checksum it must have, or None.
        largest: most bytes to accept.
        attempts: tries before giving up.
        timeout_seconds: without a byte before a try counts as failed.
        pause_seconds: before the second try; doubled from try to try.

    Raises:
        DataError: the file is not there, access is denied, or it is not the file that was promised.
        BikeError: the address could not be reached, however often it was tried.
        OSError: ``path`` can't be written.
    """
    if size is None:
        path.unlink(missing_ok=True)
    wrong = 0
    for attempt in range(1, attempts + 1):
        try:
            _append(url, path, size, largest, timeout_seconds)
            problem = _check(path, size, sha256)
        except PassingError as error:
            problem = one_line(error)
        else:
            if not problem:
                return
            path.unlink(missing_ok=True)
            wrong += 1
            if wrong > 1:
                raise DataError(f"{url}: {problem}, twice. The shards there are damaged; publish them again.")
        if attempt < attempts:
            time.sleep(pause_seconds * 2 ** (attempt - 1))
    raise BikeError(f"{url}: can't be fetched ({problem}; {attempts} tries). Check the connection, then run again.")


@dataclass(frozen=True, slots=True)
class _Reply:
    """A stream of a file's bytes: where it begins (at 0 when the server can't do ranges), and where it should end."""

    stream: Any
    start: int
    end: int | None


def _append(url: str, path: Path, size: int | None, largest: int | None, timeout_seconds: float) -> None:
    """Fetch what is missing. A file of unknown size is fetched whole: it may be another one by now."""
    have = path.stat().st_size if size is not None and path.is_file() else 0
    if size is not None and have >= size:
        return
    with _opened(url, have, timeout_seconds) as reply, path.open("r+b" if have else "wb") as file:
        position = reply.start
        file.seek(position)
        file.truncate()
        begin = time.monotonic()
        while block := _read_block(reply.stream):
            position += len(block)
            seconds = time.monotonic() - begin
            if seconds > timeout_seconds and position - reply.start < _LEAST_BYTES_A_SECOND * seconds:
                raise PassingError(f"{position - reply.start} bytes in {seconds:.0f} s")
            if largest is not None and position > largest:
                raise DataError(f"{url}: more than the {largest} bytes that were promised. Publish the shards again.")
            file.write(block)
        if reply.end is not None and position < reply.end:
            raise PassingError(f"the connection ended after {position} of {reply.end} bytes")


def _check(path: Path, size: int | None, sha256: str | None) -> str:
    """What is wrong with a finished download; an early end is a passing failure."""
    found = path.stat().st_size if path.is_file() else 0
    if size is not None and found < size:
        raise PassingError(f"the connection ended after {found} of {size} bytes")
    if sha256 is not None:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                return "its SHA-256 is not that of the manifest"
    return "" if size is None or found == size else f"{found} bytes instead of {size}"


def _read_block(stream: Any) -> bytes:
    try:
        return bytes(stream.read1(_BLOCK_BYTES) if hasattr(stream, "read1") else stream.read(_BLOCK_BYTES))
    except http.client.IncompleteRead as error:
        return bytes(error.partial)
    except (OSError, http.client.HTTPException) as error:
        raise PassingError(error or type(error).__name__) from error
    except Exception as error:
        if type(error).__module__.startswith(("botocore", "urllib3")):
            raise PassingError(error) from error
        raise


@contextmanager
def _opened(url: str, start: int, timeout_seconds: float) -> Iterator[_Reply]:
    open_url = _open_s3 if url.startswith("s3://") else _open_http
    reply = open_url(url, start, timeout_seconds)
    try:
        yield reply
    finally:
        reply.stream.close()


def _open_http(url: str, start: int, timeout_seconds: float) -> _Reply:
    request = urllib.request.Request(url, headers={"User-Agent": "bike"})  # noqa: S310 (remote_url admits http, https, s3)
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        reply = urllib.request.urlopen(request, timeout=timeout_seconds)  # noqa: S310
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:  # the file there is shorter than what came before: begin again
            return _open_http(url, 0, timeout_seconds)
        if error.code in _PASSING_STATUS:
            raise PassingError(f"HTTP status {error.code}") from error
        raise DataError(f"{url}: HTTP status {error.code} ({one_line(error.reason)}). Check the address.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PassingError(getattr(error, "reason", error) or type(error).__name__) from error
    partial = reply.status == 206 and reply.headers.get("Content-Range", "").startswith(f"bytes {start}-")
    length = reply.headers.get("Content-Length", "")
    begin = start if partial else 0
    return _Reply(reply, begin, begin + int(length) if length.isdecimal() else None)


def _open_s3(url: str, start: int, timeout_seconds: float) -> _Reply:
    client = _s3_client(os.getpid(), timeout_seconds)
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, key = url.removeprefix("s3://").partition("/")
    part = {"Range": f"bytes={start}-"} if start else {}
    try:
        reply = client.get_object(Bucket=bucket, Key=key, **part)
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status == 416 and start:
            return _open_s3(url, 0, timeout_seconds)
        if status in _PASSING_STATUS:
            raise PassingError(error) from error
        code = error.response.get("Error", {}).get("Code", status)
        raise DataError(f"{url}: refused by the store ({one_line(code)}). Check address and credentials.") from error
    except (BotoCoreError, OSError) as error:
        raise PassingError(error) from error
    return _Reply(reply["Body"], start, start + int(reply["ContentLength"]))


@lru_cache(maxsize=2)
def _s3_client(process: int, timeout_seconds: float) -> Any:
    """A client of this process (none survives a fork); without credentials, one for public buckets."""
    try:
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config
    except ImportError:
        raise BikeError('s3: boto3 is not installed. Install the extra: pip install "bike-video[s3]".') from None
    session = boto3.session.Session()
    options: dict[str, Any] = {
        "connect_timeout": timeout_seconds,
        "read_timeout": timeout_seconds,
        "retries": {"total_max_attempts": 1},
    }
    if session.get_credentials() is None:
        options["signature_version"] = UNSIGNED
    region = session.region_name or "us-east-1"
    return session.client("s3", region_name=region, config=Config(**options))
