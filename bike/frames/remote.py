"""Shards behind a URL: fetched when needed, checked, and kept in a folder of bounded size that processes share."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bike.errors import BikeError, BusyError, DataError
from bike.files import ensure_dir, existing_dir, locked, sha256, unwritable
from bike.files.download import download
from bike.files.names import user_folder
from bike.formats.shards import INDEX_NAME, LARGEST_MANIFEST_BYTES, MANIFEST_NAME, read_shard_manifest

_URL = re.compile(r"(s3|https?):/+(.+)", re.DOTALL)
# What fetched files and downloads are called; other files in the folder are not ours.
_CACHED_NAME = re.compile(r"[^/]*-[0-9a-f]{24}\.(tar|csv)(\.part)?", re.DOTALL)
_LEFT_SECONDS = 600.0  # a download that grows no more for so long was left, also on disks without locks
_DEFAULT_CACHE_MB = 20_000.0


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


def shard_cache() -> Path:
    """Where fetched shards are kept: ``$BIKE_SHARD_CACHE``, or ``bike/shards`` in the user's cache folder."""
    return user_folder("BIKE_SHARD_CACHE", "shards")


def cache_mb() -> float:
    """Most that the cache may hold, in 10^6 bytes: ``$BIKE_CACHE_GB`` (10^9 bytes), or 20 GB.

    Raises:
        BikeError: the variable is not a number above 0.
    """
    chosen = os.environ.get("BIKE_CACHE_GB")
    if not chosen:
        return _DEFAULT_CACHE_MB
    with suppress(ValueError):
        if 0 < (gigabytes := float(chosen)) < float("inf"):
            return gigabytes * 1000
    raise BikeError(f"$BIKE_CACHE_GB: not a size (got {chosen!r}); a number of gigabytes above 0, such as 50, is one.")


class RemoteFolder:
    """A folder of shards at an ``s3://``, ``http://`` or ``https://`` address.

    Every file's name in the cache has its checksum in it, so a shard that was published again is fetched again, and a
    file that is there is right.

    Args:
        url: of the folder.
        cache: folder for fetched files; None: :func:`shard_cache`. Processes on one machine share it.
        max_cache_mb: most that is kept there, in 10^6 bytes; None: :func:`cache_mb`. What was not used for longest goes
            first.
        **options: ``attempts``, ``timeout_seconds``, ``pause_seconds`` of :func:`bike.files.download.download`.

    Raises:
        DataError: no shards at the address, or damaged ones.
        BikeError: the address can't be reached, or the cache can't be written to.
    """

    def __init__(
        self, url: str, *, cache: Path | str | None = None, max_cache_mb: float | None = None, **options: Any
    ) -> None:
        address = remote_url(url)
        if address is None:
            raise ValueError(f"not an address of shards: {url!r}")
        self.url = self.name = address
        self.cache = ensure_dir(shard_cache() if cache is None else cache).absolute()
        self.max_cache_bytes = int((cache_mb() if max_cache_mb is None else max_cache_mb) * 1e6)
        self._options = options
        self.manifest, self.checksum = self._read_manifest()
        self._shards = {shard["name"]: (shard["bytes"], shard["sha256"]) for shard in self.manifest["shards"]}

    def index(self) -> Path:
        """The index, made local."""
        return self._local(INDEX_NAME, self.manifest["index"]["bytes"], self.manifest["index"]["sha256"])

    def fetch(self, name: str) -> Path:
        """A shard, made local. It may be gone again once others were fetched: :meth:`open` holds on to it.

        Raises:
            DataError: it is not there, or its bytes are not those of the manifest.
            BikeError: the address can't be reached, or the cache can't be written to or is too small.
        """
        return self._local(name, *self._shards[name])

    def place(self, name: str) -> str:
        """Where a shard comes from and where it is kept, for errors."""
        return f"{self.url}/{name} (kept as {self.cache / _cached_name(name, self._shards[name][1])})"

    def open(self, name: str) -> int:
        """A descriptor of a shard, fetched if need be; for the caller to close. Raises as :meth:`fetch`."""
        for _ in range(10):
            with suppress(FileNotFoundError):  # another process needed the room
                return os.open(self.fetch(name), os.O_RDONLY)
        raise DataError(
            f"{self.url}/{name}: always gone from the cache before it is read. Allow a larger cache ($BIKE_CACHE_GB)."
        )

    def _read_manifest(self) -> tuple[dict[str, Any], str]:
        """The manifest as it is now, and its checksum: it alone is never taken from the cache."""
        try:
            with TemporaryDirectory(prefix="manifest-", dir=self.cache) as folder:
                path = Path(folder, MANIFEST_NAME)
                download(f"{self.url}/{MANIFEST_NAME}", path, largest=LARGEST_MANIFEST_BYTES, **self._options)
                return read_shard_manifest(path.parent, source=f"{self.url}/{MANIFEST_NAME}"), sha256(path)
        except OSError as error:
            raise unwritable(self.cache, error) from error

    def _local(self, name: str, size: int, checksum: str) -> Path:
        url, path = f"{self.url}/{name}", self.cache / _cached_name(name, checksum)
        if size > self.max_cache_bytes:
            raise BikeError(
                f"{url}: {size / 1e6:.0f} MB, the cache may hold {self.max_cache_bytes / 1e6:.0f} MB. "
                "Allow a larger cache ($BIKE_CACHE_GB), or write smaller shards."
            )
        try:
            while not _is_there(path, size):  # another process may fetch it, or remove it again, at any time
                with self._reserved(path, size) as partial:
                    if partial is None:
                        time.sleep(0.05)
                    else:
                        download(url, partial, largest=size, size=size, sha256=checksum, **self._options)
            with suppress(FileNotFoundError):
                os.utime(path)  # used now: others go first
        except OSError as error:
            raise unwritable(path, error) from error
        return path

    @contextmanager
    def _reserved(self, path: Path, size: int) -> Iterator[Path | None]:
        """A file to download ``path`` to, for which there is room; it becomes ``path`` at the end of the block.

        None when somebody else has fetched it, is fetching it, or fills the cache with downloads: look again later.

        A download, ``<name>.part``, has its full size from the start, so sizes add up to what the cache will hold. Its
        process holds a lock on it: one without was left by a run that was killed. Files are made, renamed and removed
        only under a second lock, of the whole cache, which nobody holds for long.

        ===============================================  ============================================================
        Found under the lock of the cache                What happens
        ===============================================  ============================================================
        the file, with its full size                     None: somebody has fetched it
        its ``.part``, locked by another process         None: somebody is fetching it
        its ``.part``, without a holder                  taken over: cut to nothing or to full size, downloaded again
        room, perhaps after older files were removed     the ``.part`` gets its full size, which reserves the room
        no room: downloads of others fill the cache      None, and the ``.part`` is empty: it takes no room meanwhile
        the block then ends with an error                the ``.part`` is removed
        the process is killed within the block           the ``.part`` stays, without a holder: see above
        ===============================================  ============================================================
        """
        partial = path.with_name(f"{path.name}.part")
        with ExitStack() as held:
            reserved = False
            with self._locked_cache(), suppress(BusyError):
                if not _is_there(path, size):
                    held.enter_context(locked(partial, "downloading"))
                    reserved = self._make_room(partial, size)
                    os.truncate(partial, size if reserved else 0)  # takes its room before the lock is given back
            if not reserved:
                yield None
                return
            try:
                yield partial
            except BaseException:
                with self._locked_cache():
                    partial.unlink(missing_ok=True)
                raise
            with self._locked_cache():
                partial.replace(path)

    def _locked_cache(self) -> Any:
        return locked(self.cache / ".lock", "making room", wait=True)

    def _make_room(self, partial: Path, size: int) -> bool:
        """Remove what was not used for longest until ``size`` bytes fit in; whether they do."""
        files = []
        for path in self.cache.iterdir():
            with suppress(OSError):
                if _CACHED_NAME.fullmatch(path.name) and path != partial and path.is_file():
                    files.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        used = sum(count for _, count, _ in files)
        for _, count, path in sorted(files):  # oldest use first: fetching touches a file
            if used + size <= self.max_cache_bytes:
                break
            if path.suffix != ".part" or _is_left(path):
                path.unlink(missing_ok=True)
                used -= count
        return used + size <= self.max_cache_bytes


def _is_there(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _is_left(partial: Path) -> bool:
    """Whether no process is at work on a download any more."""
    try:
        with locked(partial, "downloading") as certain:
            return certain or time.time() - partial.stat().st_mtime > _LEFT_SECONDS
    except BusyError:
        return False


def _cached_name(name: str, checksum: str) -> str:
    """``00000-<24 hex digits>.tar``; the manifest's checksum is hashed, since it may be any text."""
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}-{hashlib.sha256(checksum.encode()).hexdigest()[:24]}{dot}{suffix}"
