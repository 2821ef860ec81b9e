"""Locks that end with their holder, for folders and files that runs share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bike.errors import BusyError
from bike.files.disk import unwritable


@contextmanager
def locked(path: Path | str, doing: str, *, wait: bool = False) -> Iterator[bool]:
    """Hold a folder, or a lock file, against other runs and threads.

    The lock lies on the open file (``flock``), so it ends with the process however that ends, and a folder needs no
    file in it. Lock files stay: one that is removed and made again could be held twice.

    Args:
        path: an existing folder, or a lock file, which is created.
        doing: what holders do, for the error: ``extracting``.
        wait: until the holder is done, instead of the error.

    Yields:
        Whether the lock is certain: False on a file system that has none (some network drives), where all may enter.

    Raises:
        BusyError: another run holds it. BikeError: the lock file can't be created.
    """
    from filelock import lock_descriptor, unlock_descriptor

    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # NFS locks nothing that is open for reading only
    except OSError as error:
        if not Path(path).exists():
            raise unwritable(path, error) from error
        descriptor = os.open(path, os.O_RDONLY)  # a folder, or another user's lock file in a shared cache
    certain = False
    try:
        with suppress(OSError):
            if not lock_descriptor(descriptor, blocking=wait):
                raise BusyError(f"{path}: another run is {doing} here. Wait for it, or choose another folder.")
            certain = True
        yield certain
    finally:
        with suppress(OSError):
            # Closing is not enough: a process forked meanwhile has a copy of the descriptor, and would keep the lock.
            unlock_descriptor(descriptor)
        os.close(descriptor)
