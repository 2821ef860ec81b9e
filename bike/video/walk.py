"""Files below a folder, as every command that searches one sees them: hidden folders and links out of it left out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bike.files import unreadable

# What is said about such a link; the option is one of the commands that search folders.
LEADS_OUT = "a link that leads out of the folder; --follow-links follows it"


def walk_files(
    folder: Path | str, *, exclude: Path | str | None = None, outside: list[str] | None = None
) -> Iterator[str]:
    """Files below ``folder``, in no order; hidden folders, and folders met before, are left out.

    Args:
        folder: where to look.
        exclude: a folder to leave out.
        outside: links to files and folders that lead out of ``folder`` are added to it and not followed, since a folder
            of strangers could show any file of this machine; None follows them. Links inside are followed.

    Raises:
        DataError: a folder can't be read.
    """
    root = os.path.realpath(folder)
    skipped = None if exclude is None else os.path.realpath(exclude)
    seen: set[tuple[int, int]] = set()  # by number: a link to a folder above would be walked forever

    def fail(error: OSError) -> None:
        raise unreadable(error.filename, error) from error

    for top, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        about = Path(top).stat()
        if (about.st_dev, about.st_ino) in seen or os.path.realpath(top) == skipped:
            folders.clear()
            continue
        seen.add((about.st_dev, about.st_ino))
        # In order: of two links to one folder, the disk must not decide which one names its videos.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if outside is None:
            yield from (os.path.join(top, name) for name in files)  # noqa: PTH118 (a name may hold any bytes)
            continue
        out = {name for name in (*folders, *files) if is_link_out(os.path.join(top, name), root)}  # noqa: PTH118
        outside += (os.path.join(top, name) for name in sorted(out))  # noqa: PTH118
        folders[:] = [name for name in folders if name not in out]
        yield from (os.path.join(top, name) for name in files if name not in out)  # noqa: PTH118


def is_link_out(path: str, root: str, *, anywhere: bool = False) -> bool:
    """Whether a path below the folder ``root`` (itself without links) is a link that leads out of it.

    With ``anywhere`` the folders on the way may be such links, too.
    """
    if not anywhere and not os.path.islink(path):  # noqa: PTH114
        return False
    return os.path.commonpath((os.path.realpath(path), root)) != root
