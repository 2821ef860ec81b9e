"""One file over HTTP(S) or from S3: whole and right, or an error in one line.

Plain blocking sockets, on purpose: data loaders fork while shards are fetched, and every wait must end. (fsspec runs an
event loop in a thread of its own, retries S3 by its own rules and hides the store's reason.)
"""

from __future__ import annotations

import errno
import http.client
import logging
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, nullcontext
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from bike.errors import BikeError, DataError, one_line
from bike.files import sha256 as sha256_of
from bike.progress import progress

log = logging.getLogger("bike")

_BLOCK_BYTES = 1 << 20
_LEAST_BYTES_A_SECOND = 1000  # on average; what comes more slowly counts as broken off
_PROGRESS_BYTES = 1 << 16  # a try that brought so much does not count as a failure in a row


class TransientError(Exception):
    """A failure that another try may not meet."""


def download(
    url: str,
    path: Path,
    *,
    largest: int,
    size: int | None = None,
    sha256: str | None = None,
    resume: bool = False,
    title: str | None = None,
    attempts: int = 5,
    timeout_seconds: float = 60.0,
    pause_seconds: float = 0.5,
) -> None:
    """Fetch a file.

    Args:
        url: ``http``, ``https`` or ``s3``.
        path: where to, in an existing folder. It is the file only once this returns; after a failure it may hold
            anything.
        largest: most bytes to accept; a server that never ends is cut off.
        size: bytes it must have; ``path`` takes all of them from the start, so that a cache can count them.
        sha256: hex checksum it must have, or None. A wrong file is fetched once more.
        resume: go on behind the bytes that ``path`` has, from an earlier try or run. Needs ``sha256``, not ``size``.
        title: shows progress under this name.
        attempts: tries that fail in a row before giving up.
        timeout_seconds: without a byte before a try counts as failed.
        pause_seconds: before the second try; doubled from try to try.

    Raises:
        DataError: the file is not there, access is denied, or it is not the file that was promised.
        BikeError: the address could not be reached, however often it was tried.
        OSError: ``path`` can't be written.
    """
    failed = wrong = 0
    while True:
        path.touch()
        before = path.stat().st_size if resume else 0
        try:
            _try(url, path, before, largest=largest, size=size, title=title, timeout_seconds=timeout_seconds)
        except TransientError as error:
            problem = one_line(error) or type(error.__cause__).__name__
            if resume and path.stat().st_size >= before + _PROGRESS_BYTES:
                failed = 0
        else:
            found = sha256_of(path)
            if sha256 in (None, found):
                return
            problem = f"sent another file (SHA-256 {found[:16]}…; {sha256:.16}… is right)"
            # Once more from the first byte: what was there before may be of another file, and proxies spoil bytes.
            os.truncate(path, 0 if size is None else size)
            wrong += 1
            if wrong == 2:
                raise DataError(f"{url}: {problem}, twice. Check the address, or publish the file again.")
        failed += 1
        if failed >= attempts:
            raise BikeError(
                f"{url}: can't be fetched ({problem}; {attempts} tries). Check the connection, then run again."
            )
        if failed == 1:  # and not over and over
            log.warning("%s: %s; trying again", url, problem)
        time.sleep(pause_seconds * 2 ** (failed - 1))


# A stream of a file's bytes, the position of its first one, and where it should end (None: not stated).
_Reply = tuple[Any, int, int | None]


def _try(
    url: str, path: Path, start: int, *, largest: int, size: int | None, title: str | None, timeout_seconds: float
) -> None:
    """Fetch the bytes from ``start`` on once (all of them where the server can't do that)."""
    reply = (_open_s3 if url.startswith("s3://") else _open_http)(url, start, timeout_seconds)
    if reply is None:  # nothing comes after ``start``: whole already, or another file: see the checksum
        return
    stream, first, end = reply
    position = first
    with closing(stream), path.open("r+b") as file:
        if end is not None and end - first > (free := shutil.disk_usage(path.parent).free):
            raise OSError(errno.ENOSPC, f"{end - first} bytes are needed and {free} are free")
        file.truncate(first if size is None else size)  # from 0 again where the server ignored the range
        file.seek(first)
        begin = time.monotonic()
        with progress(title, end and end // _BLOCK_BYTES, unit="MiB") if title else nullcontext() as shown:
            for block in _blocks(stream):
                position += len(block)
                seconds = time.monotonic() - begin
                if max(position, end or 0) > largest:  # at once where the server states the length
                    raise DataError(f"{url}: more than the {largest} bytes that are accepted. Is it the right file?")
                if seconds > timeout_seconds and position - first < _LEAST_BYTES_A_SECOND * seconds:
                    raise TransientError(f"{position - first} bytes in {seconds:.0f} s")
                file.write(block)
                if shown is not None:
                    shown.advance(position // _BLOCK_BYTES - shown.done)
    end = end if size is None else size
    if end is not None and position < end:
        raise TransientError(f"the connection ended after {position} of {end} bytes")


def _blocks(stream: Any) -> Iterator[bytes]:
    while True:
        try:
            block = stream.read1(_BLOCK_BYTES)  # what has come, without waiting for a full block
        except Exception as error:  # of socket, ssl, http.client or urllib3, which only S3 brings along
            raise TransientError(error) from error
        if not block:
            return
        yield block


def _refuse(url: str, start: int, status: int, reason: str) -> None:
    """Raise what an HTTP status means; 416 (no such range) means that nothing comes after ``start``."""
    if status == 416 and start:
        return
    if status >= 500 or status in (408, 425, 429):  # timeout, too early, too many requests
        raise TransientError(reason)
    raise DataError(f"{url}: {reason}. Check the address, and whether you have access.")


def _open_http(url: str, start: int, timeout_seconds: float) -> _Reply | None:
    # Compressed on the way, the body would have another length, other ranges and another checksum than the file.
    headers = {"User-Agent": "bike", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 (callers admit http, https, s3)
        reply = _opener().open(request, timeout=timeout_seconds)
    except urllib.error.HTTPError as error:
        error.close()
        _refuse(url, start, error.code, f"HTTP status {error.code} {one_line(error.reason)}")
        return None
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = getattr(error, "reason", error)
        raise TransientError(getattr(cause, "strerror", None) or cause) from error  # without `[Errno 111]`
    first = start if reply.status == 206 else 0  # 200: the whole file, whatever was asked for
    length = reply.headers.get("Content-Length")
    problem = ""
    if reply.status != 200 and not first:  # a part that was not asked for, or an answer without a file
        problem = f"the server answered with status {reply.status}, not with the file"
    elif first and not reply.headers.get("Content-Range", "").startswith(f"bytes {first}-"):
        problem = f"the server sent another range than the one from byte {first} on"
    elif length is not None and not re.fullmatch(r"[0-9]{1,18}", length):
        problem = f"the server states a length of {one_line(length)[:20]!r}"
    if problem:
        reply.close()
        raise TransientError(problem)
    return reply, first, None if length is None else first + int(length)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to HTTP(S) alone, and from HTTPS to HTTPS alone; urllib's own goes to FTP as well."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        allowed = ("https://",) if req.full_url.lower().startswith("https://") else ("http://", "https://")
        if not newurl.lower().startswith(allowed):
            raise urllib.error.HTTPError(req.full_url, code, f"a redirect to {newurl[:100]}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@cache
def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS with the environment's proxies, and no other scheme: a redirect must not read local files."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
        _Redirects,
    ):
        opener.add_handler(handler())
    return opener


def _open_s3(url: str, start: int, timeout_seconds: float) -> _Reply | None:
    client = _s3_client(os.getpid(), timeout_seconds)
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, key = url.removeprefix("s3://").partition("/")
    try:
        reply = client.get_object(Bucket=bucket, Key=key, **({"Range": f"bytes={start}-"} if start else {}))
    except ClientError as error:
        code = one_line(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        _refuse(url, start, status, f"refused by the store ({code})")
        return None
    except (BotoCoreError, OSError) as error:
        raise TransientError(error) from error
    # Entered, a body gives urllib3's stream, which has read1: a server that trickles can't hide behind a full block.
    return reply["Body"].__enter__(), start, start + int(reply["ContentLength"])


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
    options: dict[str, Any] = {"connect_timeout": timeout_seconds, "read_timeout": timeout_seconds}
    if session.get_credentials() is None:
        options["signature_version"] = UNSIGNED
    config = Config(retries={"total_max_attempts": 1}, **options)  # tries are counted here, not there
    return session.client("s3", region_name=session.region_name or "us-east-1", config=config)
