"""Every change on disk: writes, syncs, renames and removals, each of which a test can let fail or be the last."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path
from typing import IO, Any, cast

from bike.errors import BikeError, DataError, reason_of

BUFFER_BYTES = 1 << 20  # few system calls, however small the pieces
_GROUP = "BIKE_FAULT_GROUP"
FAULT = "BIKE_FAULT"
"""For tests: ``17:kill:COUNT``. The 17th change on disk ends the run with its helpers; with ``crash`` only the process
that is about to make it, which may be a helper; with ``ENOSPC`` it fails so.

``COUNT`` is a file of one byte for each change so far, which all processes of a run share.
"""


def _change(path: Path | str | int) -> bool:
    """Called before each change; whether this is the one at which a test lets the power fail."""
    if not (fault := os.environ.get(FAULT)):
        return False
    number, kind, count = fault.split(":", 2)
    if kind == "kill":
        os.environ.setdefault(_GROUP, str(os.getpgrp()))  # helpers have groups of their own, and inherit this
    descriptor = os.open(count, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b".")
    reached = os.fstat(descriptor).st_size == int(number)
    os.close(descriptor)
    if reached and kind == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if reached and kind != "kill":
        code = getattr(errno, kind)
        raise OSError(code, os.strerror(code), str(path))
    return reached


def _change_or_end(path: Path | str | int) -> None:
    if _change(path):
        _end()


def _end() -> None:
    os.killpg(int(os.environ[_GROUP]), signal.SIGKILL)
    os.killpg(0, signal.SIGKILL)


class _File(FileIO):
    def write(self, data: Any) -> int:
        if _change(self.name):
            super().write(memoryview(data)[: len(data) // 2])  # as a disk without power: half of it
            _end()
        return super().write(data)


def open_write(path: Path | str | int, mode: str = "wb") -> IO[Any]:
    """Open a file for writing (``wb``, ``w``, ``a``); text is UTF-8 with ``\\n``; bytes of paths go through."""
    file = BufferedWriter(_File(path, mode[0]), BUFFER_BYTES)
    if "b" in mode:
        return file
    return cast("IO[Any]", TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="\n"))


def part_prefix(path: Path) -> str:
    """What names of temporary files for ``path`` begin with; short, as the name itself may be as long as is allowed."""
    return f".bike-{zlib.crc32(os.fsencode(path.name)):08x}-"


@contextmanager
def atomic_write(path: Path | str, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary neighbour of ``path``; when the block succeeds, it is synced to disk and renamed into place.

    Args:
        path: the final name; its folder is created.
        mode: ``"wb"`` for bytes, ``"w"`` for UTF-8 text with ``\\n`` line ends (undecodable path bytes go through).

    Yields:
        The open file. On any exception, Ctrl-C included, the temporary file is removed and ``path`` keeps what it had.

    Raises:
        BikeError: the folder can't be created or written to, or the disk is full.
    """
    path = Path(path)
    temporary: str | None = None
    try:
        ensure_dir(path.parent)
        _change_or_end(path)
        # In the same folder: a rename is atomic only within a file system.
        descriptor, temporary = tempfile.mkstemp(prefix=part_prefix(path), suffix=".part", dir=path.parent)
        _hold(descriptor)
        with open_write(descriptor, mode) as file:
            yield file
            file.flush()
            # mkstemp gives the owner alone access; others in a shared folder expect what open() would have given.
            os.fchmod(descriptor, 0o666 & ~current_umask())
            _change_or_end(path)
            os.fsync(descriptor)  # or a power cut may leave the new name with nothing in it
        rename(temporary, path)
    except (OSError, RuntimeError) as error:
        # torch.save raises a RuntimeError of its own while the OSError of the disk is under way.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise unwritable(path, cause) from error
    finally:
        if temporary is not None:
            with suppress(OSError):  # renamed already
                os.unlink(temporary)


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write a file that lies in a temporary folder, and so need not appear whole; synced by :func:`sync_files`."""
    _change_or_end(path)
    path.write_bytes(data)


def sync_files(folder: Path) -> None:
    """Bring the files of a temporary folder to disk, before it is renamed into place."""
    for path in [*folder.iterdir(), folder]:
        sync_file(path)


def sync_file(path: Path) -> None:
    """Bring what was written to a file, or the names in a folder, to disk."""
    _change_or_end(path)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # some file systems can't sync a folder
            raise
    finally:
        os.close(descriptor)


def rename(old: Path | str, new: Path | str, *, sync: bool = True) -> None:
    """Put ``old`` in the place of ``new``, at once and for good: the folder is synced as well.

    Args:
        old, new: on one file system.
        sync: False where many names are changed in a folder, and the last change there syncs it for all.
    """
    try:
        _change_or_end(new)
        os.replace(old, new)
        if sync:
            sync_file(Path(new).parent)
    except OSError as error:
        raise unwritable(new, error) from error


def remove(path: Path | str) -> None:
    """Remove a file, if it is there."""
    try:
        _change_or_end(path)
        Path(path).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def remove_folder(path: Path | str, *, with_content: bool = False) -> None:
    """Remove an empty folder, or a temporary one with what is in it; what can't be removed stays."""
    with suppress(OSError):
        _change_or_end(path)
        if with_content:
            shutil.rmtree(path)
        else:
            os.rmdir(path)  # noqa: PTH106


def new_folder(beside: Path) -> Path:
    """A temporary folder in ``beside``, for what is renamed into place when it is whole."""
    try:
        _change_or_end(beside)
        folder = Path(tempfile.mkdtemp(prefix=".bike-", suffix=".part", dir=beside))
        folder.chmod(0o777 & ~current_umask())  # mkdtemp lets nobody else read
    except OSError as error:
        raise unwritable(beside, error) from error
    return folder


def ensure_dir(path: Path | str) -> Path:
    """``path`` as a folder, created where it is missing, or a BikeError when that is impossible."""
    path = Path(path)
    try:
        if not path.is_dir():
            _change_or_end(path)
            path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def check_writable(folder: Path | str) -> None:
    """Create ``folder`` and try to write in it, before hours of work depend on it.

    Raises:
        BikeError: it can't be written to.
    """
    probe = ensure_dir(folder) / ".bike-probe"
    try:
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def sweep(folder: Path, prefix: str = ".bike-") -> None:
    """Remove the temporary files and folders of runs that were killed.

    A file that is being written stays. Folders are removed, so without ``prefix`` this is for who holds the lock.
    """
    for path in folder.glob(f"{prefix}*.part"):
        if path.is_dir() and not path.is_symlink():
            remove_folder(path, with_content=True)
        elif not _is_held(path):
            with suppress(BikeError):
                remove(path)


def sweep_file(path: Path) -> None:
    """Remove what runs that were killed left of a file that they wrote with :func:`atomic_write`."""
    sweep(path.parent, part_prefix(path))


def _hold(descriptor: int) -> bool:
    """Lock an open file until it is closed, which the end of the process does as well; False: another one has it."""
    from filelock import lock_descriptor

    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError:  # a file system without locks
        return True


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _hold(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as indented JSON with a final newline, atomically; keys keep their order."""
    with atomic_write(path, "w") as file:
        json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def unwritable(path: Path | str, error: OSError) -> BikeError:
    """The error to raise when ``path`` can't be written: says why and what to do."""
    reason = reason_of(error)
    return BikeError(f"{path}: can't be written ({reason}). Free space or choose another place.")


def unreadable(path: Path | str, error: OSError) -> DataError:
    """The error to raise when ``path`` can't be read: says why."""
    return DataError(f"{path}: can't be read ({reason_of(error)}).")


@contextmanager
def reading(place: Path | str, remedy: str = "") -> Iterator[None]:
    """Name what a block reads: its errors become a :class:`DataError` that begins with ``place``, or with the file.

    ``remedy`` says what to do where a file can't be read.
    """
    try:
        yield
    except DataError as error:
        raise DataError(f"{place}: {error}") from error
    except OSError as error:
        raise DataError(f"{unreadable(error.filename or place, error)} {remedy}".rstrip()) from error


def current_umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
