"""State of a running job on disk: whole or not at all, never able to run code when read; and the wish to stop."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch

from bike.errors import BikeError, BusyError, one_line
from bike.files import (
    atomic_write,
    check_file,
    check_writable,
    ensure_dir,
    locked,
    record_names,
    remove,
    remove_folder,
    sweep,
)
from bike.files.names import beside
from bike.files.parts import Split, discard_parts, has_parts

STATE_NAME = "state.pt"
STATE_FILE = re.compile(r"state\.pt|rows-\d+-\d{6,}\.pt")
# What DVCLive removes when it starts.
CURVE_NAMES = ["params.yaml", "dvc.yaml", "metrics.json", "plots", "artifacts"]
CURVE_NAMES += ["report.html", "report.md", "report.ipynb"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and how a run happens on this machine. Nothing in it changes a result.

    Attributes:
        device: ``cpu``, ``cuda``, ``cuda:1``; None takes a GPU where there is one.
        workers: processes of the loader.
        state_dir: where what is finished is kept until the end, to go on from; None: ``.<name>.state`` beside the
            result.
        fresh: of training: start over, whatever state is there.
        apart: of training: a state of its own for each choice of settings, in a folder with their fingerprint's first
            digits (``.x.pt.state-0f3a…``). For pipelines, where changed settings are a new run and not a mistake.
        live_dir: folder of the training curves; None writes none.
        split: of attributes and evaluations: a part of the samples, or the merge of all parts.
        save_every_seconds: between two saves; None: what the run's own docstring says.
        follow_links: videos and frame folders may be links that lead out of the folder of frames.
    """

    device: str | None = None
    workers: int = 2
    state_dir: Path | str | None = None
    fresh: bool = False
    apart: bool = False
    live_dir: Path | str | None = None
    split: Split | None = None
    save_every_seconds: float | None = None
    follow_links: bool = False

    def name_of(self, out: Path | str | None) -> str | None:
        """The result as its state names it: relative to the state, so that both can be moved together."""
        return (
            None if out is None else os.path.relpath(os.path.realpath(out), os.path.realpath(state_folder(self, out)))
        )


def save_state(path: Path | str, state: Mapping[str, Any]) -> None:
    """Write tensors, numbers, texts, lists and dicts to ``path``, atomically.

    Raises:
        BikeError: ``path`` can't be written.
    """
    with atomic_write(path) as file:
        torch.save(dict(state), file)


def load_state(path: Path | str) -> dict[str, Any] | None:
    """What :func:`save_state` wrote, on the CPU; None where there is no such file.

    Raises:
        BikeError: the file is damaged, or holds something other than plain data (nothing in it is run).
    """
    path = Path(path)
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises nearly anything
        # Only torch's first sentence: the others advise weights_only=False, which would run what the file holds.
        reason = one_line(error).split(". ")[0][:160]
        raise BikeError(f"{path}: not a saved state ({reason}). Delete it to start from scratch.") from error
    if not isinstance(state, dict):
        raise BikeError(f"{path}: not a saved state (got {type(state).__name__}). Delete it to start from scratch.")
    return state


def has_state(folder: Path | str, *, numbered: bool = False, jobs: Collection[str] | None = None) -> bool:
    """Whether there is unfinished work; arguments as for :func:`discard_state`."""
    return any(_is_state(path, jobs) for place in _places(folder, numbered) for path in place.glob("*.pt"))


def _is_state(path: Path, jobs: Collection[str] | None) -> bool:
    return STATE_FILE.fullmatch(path.name) is not None and (jobs is None or _job_of(path) in jobs)


def _places(folder: Path | str, numbered: bool) -> list[Path]:
    """The folder of a state; where a run has several, each has a number in it."""
    inner = [path for path in Path(folder).glob("[0-9]*") if path.name.isdecimal() and path.is_dir()]
    return [*inner, Path(folder)] if numbered else [Path(folder)]


def state_folder(place: Place, out: Path | str) -> Path:
    """Where finished work is kept until the end: ``place.state_dir``, or ``.<name>.state`` beside ``out``."""
    return beside(out, ".{}.state") if place.state_dir is None else Path(place.state_dir)


@contextmanager
def held_state(folder: Path | None, doing: str) -> Iterator[None]:
    """Hold a folder of saved states against other runs; one that is empty afterwards is removed.

    Args:
        folder: is created; None holds nothing, as in processes that write no state.
        doing: for the error: ``training``.

    Raises:
        BusyError: another run holds it.
    """
    if folder is None:
        yield
        return
    with locked(ensure_dir(folder), doing):
        sweep(folder)
        try:
            yield
        finally:
            with suppress(OSError, BikeError):  # it has a state, or is gone
                remove_folder(folder)


def discard_state(folder: Path | str, *, numbered: bool = False, jobs: Collection[str] | None = None) -> None:
    """Remove the saved states in a folder, once the result they led to is written; other files in it stay.

    Args:
        folder: of the states.
        numbered: they are in numbered folders in it.
        jobs: fingerprints of the only jobs whose rows go; those of others are unfinished work. None: all states go.
    """
    for place in _places(folder, numbered):
        # The state of a training alone says that its work is unfinished, so each removal leaves a sound folder.
        discard_parts(place, lambda path: _is_state(path, jobs))
        for path in sorted(place.iterdir()) if place.is_dir() else []:
            if _is_state(path, jobs):
                remove(path)
        sweep(place)
        remove_folder(place)


def _job_of(path: Path) -> object:
    """The fingerprint in a file of rows; None where there is none, or the file is damaged."""
    with suppress(BikeError):
        return (load_state(path) or {}).get("job")
    return None


def tidy_state(folder: Path, *, numbered: bool = False) -> None:
    """Remove what a run left that was killed at its very end: folders without a state, which no other run holds."""
    begun = has_state(folder, numbered=numbered) or any(map(has_parts, _places(folder, numbered)))
    if folder.is_dir() and not begun:
        with suppress(BusyError), locked(folder, "working"):
            discard_state(folder, numbered=numbered)


def check_places(out: Path, place: Place, *, inputs: Iterable[Path | str | None] = (), replace: bool = False) -> None:
    """Fail now rather than after the last epoch, if a result can't be written.

    Args:
        out: the checkpoint.
        place: of the run; its folder of curves is noted as ours.
        inputs: files that are read.
        replace: whether a finished ``out`` may be thrown away; beside a saved state of it it is not finished.

    Raises:
        BikeError: a folder can't be written to or has other files under the names of ours, or ``out`` is a folder, an
            input or there already.
    """
    state = state_folder(place, out)
    tidy_state(state)
    check_file(out, inputs=inputs, replace=replace or (out.exists() and _is_begun(out, place)))
    if place.state_dir is not None:
        check_writable(state)
        if out.resolve().parent == state.resolve() and STATE_FILE.fullmatch(out.name):
            raise BikeError(f"{out}: is the name of the saved state. Choose another name or another --state.")
    if place.live_dir is not None:
        record_names(place.live_dir, "curves", CURVE_NAMES)


def _is_begun(out: Path, place: Place) -> bool:
    """Whether there is a state of this very result; one in a folder that was named may be another's."""
    folder = state_folder(place, out)
    if place.state_dir is None:
        return has_state(folder)
    with suppress(BikeError):  # a damaged one
        return (load_state(folder / STATE_NAME) or {}).get("out") == place.name_of(out)
    return False


def fingerprint(**settings: Any) -> str:
    """Hash of everything that decides a job's result; what JSON can't write counts as its text.

    Rows are taken up only by a job with the same fingerprint.
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


class StopRequest:
    """While entered, the first SIGINT or SIGTERM sets :attr:`requested`; a second one interrupts at once.

    Outside the main thread, where Python allows no signal handlers, nothing is changed.
    """

    def __init__(self) -> None:
        self.requested = False
        self._number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def interrupt(self) -> NoReturn:
        """End the run as the signal would have without this object: its old handler knows the exit status.

        Raises:
            KeyboardInterrupt: or what the old handler raises.
        """
        if callable(handler := self._before.get(self._number)):
            handler(self._number, None)
        raise KeyboardInterrupt

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._number = number
        if self.requested:
            self.interrupt()
        self.requested = True
