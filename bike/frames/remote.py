"""Shards behind a URL: fetched when needed, checked, and kept in a folder of bounded size that processes share."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bike.download import download
from bike.errors import BikeError
from bike.files import existing_dir, unwritable
from bike.formats.shards import INDEX_NAME, LARGEST_MANIFEST_BYTES, MANIFEST_NAME, read_shard_manifest

_URL = re.compile(r"(s3|https?):/+(.+)", re.DOTALL)
# What fetched files and downloads are called; other files in the folder are not ours.
_CACHED_NAME = re.compile(r"[^/]*-[0-9a-f]{24}\.(tar|csv)(\.\d+\.part)?", re.DOTALL)
_NUM_LOCKS = 16
_LEFT_SECONDS = 600.0
DEFAULT_CACHE_MB = 20_000.0


def remote_url(place: Path | str) -> str | None:
    """``place`` as a URL without a slash at its end; None when it is a path (``s3:/x`` is what Path makes of a URL)."""
    match = _URL.fullmatch(str(place))
    return f"{match[1]}://{match[2].rstrip('/')}" if match else None


def existing_place(place: Path) -> Path:
    """A folder that is there, or an address (which is asked when it is read), as it is.

    Raises:
        BikeError: no such folder.
    """
    return place if remote_url(place) is not None else existing_dir(place)


def cache_folder() -> Path:
    """Where fetched shards are kept: ``$BIKE_SHARD_CACHE``, or ``bike/shards`` in the user's cache folder."""
    from platformdirs import user_cache_path

    chosen = os.environ.get("BIKE_SHARD_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache_path("bike") / "shards"


class RemoteFolder:
    """A folder of shards at an ``s3://``, ``http://`` or ``https://`` address.

    Every file's name in the cache has its checksum in it, so a shard that was published anew is fetched anew, and a
    file that is there is right. Downloads that break off go on where they stopped, also in a later run.

    Args:
        url: of the folder.
        cache: folder for fetched files; None: :func:`cache_folder`. Processes on one machine share it.
        max_cache_mb: most that is kept there, in 10^6 bytes; what was not used for longest goes first.
        attempts: tries for each file before giving up.
        timeout_seconds: without a byte before a try counts as failed.
        pause_seconds: before the second try; doubled from try to try.

    Raises:
        DataError: no shards at the address, or damaged ones.
        BikeError: the address can't be reached, or the cache can't be written to.
    """

    def __init__(
        self,
        url: str,
        *,
        cache: Path | str | None = None,
        max_cache_mb: float = DEFAULT_CACHE_MB,
        attempts: int = 5,
        timeout_seconds: float = 60.0,
        pause_seconds: float = 0.5,
    ) -> None:
        address = remote_url(url)
        if address is None:
            raise ValueError(f"not an address of shards: {url!r}")
        self.url = address
        self.cache = (cache_folder() if cache is None else Path(cache)).absolute()
        self.max_cache_bytes = int(max_cache_mb * 1e6)
        self._attempts, self._timeout_seconds, self._pause_seconds = attempts, timeout_seconds, pause_seconds
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.cache, error) from error
        self.manifest = self._read_manifest()
        self._shards = {shard["name"]: (shard["bytes"], shard["sha256"]) for shard in self.manifest["shards"]}

    def index(self) -> Path:
        """The index, made local."""
        return self._local(INDEX_NAME, self.manifest["index"]["bytes"], self.manifest["index"]["sha256"])

    def fetch(self, name: str) -> Path:
        """A shard, made local. It may be gone again once others were fetched.

        Raises:
            DataError: it is not there, or its bytes are not those of the manifest.
            BikeError: the address can't be reached, or the cache can't be written to or is too small.
        """
        size, sha256 = self._shards[name]
        return self._local(name, size, sha256)

    def _read_manifest(self) -> dict[str, Any]:
        """The manifest as it is now: it alone is never taken from the cache."""
        try:
            with TemporaryDirectory(prefix="manifest-", dir=self.cache) as folder:
                path = Path(folder, MANIFEST_NAME)
                self._download(MANIFEST_NAME, path, path, largest=LARGEST_MANIFEST_BYTES)
                return read_shard_manifest(path.parent, source=f"{self.url}/{MANIFEST_NAME}")
        except OSError as error:
            raise unwritable(self.cache, error) from error

    def _local(self, name: str, size: int, sha256: str) -> Path:
        path = self.cache / _cached_name(name, sha256)
        if not _is_there(path, size):
            if size > self.max_cache_bytes:
                raise BikeError(
                    f"{self.url}/{name}: {size / 1e6:.0f} MB, the cache may hold {self.max_cache_bytes / 1e6:.0f} MB. "
                    "Allow a larger cache, or write smaller shards."
                )
            try:
                with _locked(self.cache / _lock_name(path)):
                    if not _is_there(path, size):
                        partial = path.with_name(f"{path.name}.{size}.part")
                        while not self._reserve(partial, size):
                            time.sleep(
                                0.05
                            )  # others' downloads fill the cache; they can be removed once they are whole
                        self._download(name, partial, path, size=size, sha256=sha256)
            except OSError as error:
                raise unwritable(path, error) from error
        with suppress(OSError):
            os.utime(path)
        return path

    def _download(
        self,
        name: str,
        partial: Path,
        path: Path,
        *,
        size: int | None = None,
        sha256: str | None = None,
        largest: int | None = None,
    ) -> None:
        download(
            f"{self.url}/{name}",
            partial,
            size=size,
            sha256=sha256,
            largest=largest if size is None else size,
            attempts=self._attempts,
            timeout_seconds=self._timeout_seconds,
            pause_seconds=self._pause_seconds,
        )
        partial.replace(path)

    def _reserve(self, partial: Path, size: int) -> bool:
        """Make room for a download by removing what was not used for longest; False when others' downloads leave none.

        A download counts with its whole size from the moment it is reserved: the size stands in its name.
        """
        with _locked(self.cache / ".lock-room"):
            files = []
            for path in self.cache.iterdir():
                with suppress(OSError):
                    if _CACHED_NAME.fullmatch(path.name) and path != partial and path.is_file():
                        about = path.stat()
                        files.append((about.st_mtime_ns, _promised_bytes(path) or about.st_size, path))
            used = sum(count for _, count, _ in files)
            for _, count, path in sorted(files):
                if used + size <= self.max_cache_bytes:
                    break
                # Under the lock that this process holds itself, nobody else can be downloading.
                if (
                    _promised_bytes(path) is None
                    or _lock_name(path) == _lock_name(partial)
                    or not _in_use(self.cache / _lock_name(path), path)
                ):
                    path.unlink(missing_ok=True)
                    used -= count
            if used + size > self.max_cache_bytes:
                return False
            partial.touch()
            return True


def _is_there(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _promised_bytes(path: Path) -> int | None:
    """The size that a download will have, None for other files."""
    parts = path.name.rsplit(".", 2)
    return int(parts[1]) if len(parts) == 3 and parts[2] == "part" and parts[1].isdecimal() else None


def _lock_name(path: Path) -> str:
    """The lock of a cached file or of its download; a few locks serve all."""
    name = path.name if _promised_bytes(path) is None else path.name.rsplit(".", 2)[0]
    return f".lock-{zlib.crc32(name.encode()) % _NUM_LOCKS}"


def _in_use(lock: Path, download: Path) -> bool:
    """Whether some process holds the lock of a download; that of a run that was killed has none.

    On a file system without locks a download counts as left when nothing came for ten minutes.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except BlockingIOError:
        return True
    except OSError:
        with suppress(OSError):
            return time.time() - download.stat().st_mtime < _LEFT_SECONDS
    finally:
        os.close(descriptor)
    return False


def _cached_name(name: str, sha256: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}-{hashlib.sha256(sha256.encode()).hexdigest()[:24]}{dot}{suffix}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        with suppress(OSError):
            # Closing is not enough: a process forked meanwhile has a copy of the descriptor, and would keep the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
