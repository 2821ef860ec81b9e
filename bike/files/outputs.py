"""Whose files are those in an output's folder, and what may be replaced: one set of rules for every command.

1. **What is not recorded is somebody else's**, and is neither replaced nor removed. The record is on disk before the
   first file: ``.bike-<kind>.json`` in the folder, or the journal of packs and the manifest and notes of shards.
2. **An output that is also an input is refused**, whatever path, link or spelling leads to it; so is a single file
   in a folder that is read. Params files and ``machine.yaml`` are inputs.
3. **The old result stays until the new one is whole**: files are written and synced in a temporary folder, and take the
   place of the old ones in a row, the one that says "finished" last. Packs and shards do so one by one.
4. **Finished work is thrown away only on request**, with ``--replace`` (``replace=True``): packs of another size or of
   other videos, lists of another split or source, an evaluation of other inputs or settings, a checkpoint. The same
   settings again, unfinished work, and a data set that has grown need no ``--replace``.
5. **One run at a time** holds the folder; it removes the temporary files of runs that were killed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from bike.errors import BikeError
from bike.files.disk import (
    check_writable,
    ensure_dir,
    new_folder,
    remove,
    remove_folder,
    rename,
    sweep,
    sweep_file,
    write_json,
)
from bike.files.lock import locked
from bike.files.text import read_json, sha256

Place = Path | str | None


def check_not_read(outputs: Iterable[Path | str], inputs: Iterable[Place], *, within: bool = False) -> None:
    """Refuse outputs that are inputs; links are followed.

    Args:
        outputs: what is written.
        inputs: what is read.
        within: whether outputs in a folder that is read are refused, too.

    Raises:
        BikeError: an output is one of the inputs.
    """
    read = {os.path.realpath(path) for path in inputs if path is not None}
    for path in outputs:
        real = Path(os.path.realpath(path))
        if str(real) in read or (within and not read.isdisjoint(map(str, real.parents))):
            raise BikeError(f"{path}: is read here, and would be replaced. Choose another place to write to.")


def refuse_finished(path: Path | str, what: str, replace: bool) -> None:
    """Refuse to throw finished work away, unless that is wanted.

    Args:
        path: of the output.
        what: there is, such as ``1,024 packs of 240 px, 3.1 GB``.
        replace: whether it is wanted.

    Raises:
        BikeError: it is not.
    """
    if not replace:
        raise BikeError(
            f"{path}: has finished work that would be thrown away ({what}). Give --replace, or choose another place."
        )


def size_text(num_bytes: int) -> str:
    """Such as ``3.1 GB``."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes} bytes"


def check_file(path: Path | str, *, inputs: Iterable[Place] = (), replace: bool = False) -> None:
    """Fail now rather than after hours of work, if a file can't be written or must not be replaced.

    What killed runs left of it is removed.

    Args:
        path: the file.
        inputs: what is read.
        replace: it may be there already: that is wanted, or it is what unfinished work is about to renew.

    Raises:
        BikeError: it is a folder, an input or in a folder of them, there already, or where nothing can be written.
    """
    path = Path(path)
    if path.is_dir():
        raise BikeError(f"{path}: is a folder; the name of the file to write is needed.")
    check_not_read([path], inputs, within=True)
    if path.exists():
        refuse_finished(path, size_text(path.stat().st_size), replace)
    check_writable(path.parent)
    sweep_file(path)


@contextmanager
def claim_file(
    path: Path | str, state: Path | str | None = None, *, inputs: Iterable[Place] = (), replace: bool = False
) -> Iterator[None]:
    """:func:`check_file`, and hold the folder ``state`` of unfinished work meanwhile.

    Raises:
        BikeError: as :func:`check_file`. BusyError: another run goes on from the same state.
    """
    path = Path(path)
    with ExitStack() as held:
        check_file(path, inputs=inputs, replace=replace)
        if state is not None:
            held.enter_context(locked(ensure_dir(state), "working"))
            sweep(Path(state))
        yield


def record_names(folder: Path | str, kind: str, names: Iterable[str]) -> None:
    """Note that files of these names in a folder are ours from now on, for a library that writes them itself.

    Raises:
        BikeError: some are there already, and were not noted.
    """
    output = OutputFolder(ensure_dir(folder), kind)
    sweep_file(output.path)
    output.check(names)
    output.record({*output.names, *names}, finished=False)


@contextmanager
def claim_folder(
    folder: Path | str,
    kind: str,
    *,
    names: Iterable[str] = (),
    inputs: Iterable[Place] = (),
    settings: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> Iterator[OutputFolder]:
    """Hold a folder for files that are written together, after all that can be refused at once was refused.

    Args:
        folder: created where it is missing.
        kind: of the result, such as ``evaluation``; names the record.
        names: of files that will be written, as far as they are known.
        inputs: what is read.
        settings: what makes another result (JSON); None: every earlier one is renewed without being asked.
        replace: whether a finished result of other settings may be thrown away.

    Raises:
        BikeError: a name is taken by somebody else's file or an input, finished work would be thrown away, or the
            folder can't be written to. BusyError: another run writes there.
    """
    folder, names = Path(folder), list(names)
    check_not_read([folder / name for name in names], inputs)
    check_writable(folder)
    with locked(folder, "writing"):
        sweep(folder)
        output = OutputFolder(folder, kind, settings)
        output.check(names)
        if output.finished and settings is not None and (changed := output.changes()):
            there = [folder / name for name in output.names if (folder / name).is_file()]
            size = size_text(sum(path.stat().st_size for path in there))
            refuse_finished(folder, f"{len(there)} files, {size}; other {', '.join(changed)}", replace or not there)
        yield output


class OutputFolder:
    """A folder with the record of what we wrote there.

    Args:
        folder: an existing one.
        kind: of the result.
        settings: as :func:`claim_folder`.
    """

    def __init__(self, folder: Path, kind: str, settings: Mapping[str, Any] | None = None) -> None:
        self.folder, self.path = folder, folder / f".bike-{kind}.json"
        self._settings = json.loads(json.dumps(settings, default=str))
        known: Any = {}
        with suppress(BikeError):  # none, or a damaged one: then nothing is ours
            known = read_json(self.path)
        files = known.get("files") if isinstance(known, dict) else None
        self.names = {name for name in files if _stays_inside(name)} if isinstance(files, list) else set()
        self.finished = bool(self.names) and known.get("finished") is True
        self._known_settings = known.get("settings") if self.finished else None

    def changes(self) -> list[str]:
        """Names of the settings that the finished result has not as they are now."""
        old, new = self._known_settings or {}, self._settings or {}
        return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))

    def check(self, names: Iterable[str]) -> None:
        """Refuse names that somebody else's files have.

        Raises:
            BikeError: the first such file.
        """
        for name in names:
            if name not in self.names and os.path.lexists(self.folder / name):
                raise BikeError(
                    f"{self.folder / name}: is there already, and this command has no record of having written it. "
                    "Move it away, or choose another folder."
                )

    def record(self, names: Iterable[str], *, finished: bool) -> None:
        """Write the record."""
        self.names, self.finished = set(names), finished
        write_json(self.path, {"finished": finished, "settings": self._settings, "files": sorted(self.names)})

    def add(self, name: str) -> None:
        """Record one more file as ours; whether the result is finished, and with which settings, stays as it is."""
        self.names.add(name)
        settings = self._known_settings if self.finished else self._settings
        write_json(self.path, {"finished": self.finished, "settings": settings, "files": sorted(self.names)})

    @contextmanager
    def writing(self, last: str) -> Iterator[Path]:
        """A temporary folder whose files take the place of the earlier result when the block succeeds.

        Args:
            last: the file that says that all others are there.

        Raises:
            BikeError: a name is taken by somebody else's file of other content, or the disk is full.
        """
        temporary = new_folder(self.folder)
        try:
            yield temporary
            found = (path.relative_to(temporary).as_posix() for path in temporary.rglob("*") if path.is_file())
            # What somebody else keeps here with the very same content, such as class names in git, stays theirs.
            written = sorted(name for name in found if name in self.names or not self._has(name, temporary / name))
            self.check(written)
            stale = self.names - set(written)
            self.record({*self.names, *written}, finished=False)
            for name in [last, *stale]:
                if name in self.names:
                    remove(self.folder / name)
            for name in sorted(written, key=lambda name: name == last):
                ensure_dir((self.folder / name).parent)
                rename(temporary / name, self.folder / name)
            for folder in {(self.folder / name).parent for name in stale} - {self.folder}:
                remove_folder(folder)
            self.record(written, finished=True)
        finally:
            remove_folder(temporary, with_content=True)

    def _has(self, name: str, new: Path) -> bool:
        path = self.folder / name
        return path.is_file() and path.stat().st_size == new.stat().st_size and sha256(path) == sha256(new)


def _stays_inside(name: object) -> bool:
    return isinstance(name, str) and not Path(name).is_absolute() and ".." not in Path(name).parts and name != ""
