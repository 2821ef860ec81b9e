"""Progress of long jobs: a bar on a terminal, plain log lines elsewhere. And where log lines go."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

log = logging.getLogger("bike")
said = logging.getLogger("bike.said")  # what stderr gets in another way; this is for a log file
said.propagate = False
said.addHandler(logging.NullHandler())

_WIDE = 80  # columns from which on there is room for a bar
_FORM = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S")


class _Stderr(logging.StreamHandler[Any]):
    """Writes to what stderr is at the moment: a bar that is drawn puts itself there, and moves down for a line."""

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, _: Any) -> None:
        """Always what it is."""


class _LogFile(logging.StreamHandler[IO[str]]):
    """A log that can't be written ends, and what is logged goes on."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        for logger in (logging.getLogger(), said):
            logger.removeHandler(self)
        log.warning("%s: can't be written; the log ends here", self.name)


def start_log(level: str) -> None:
    """Send log lines to stderr, unless somebody has decided on them already."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(_Stderr())
        root.setLevel(level)


def say_less() -> None:
    """Send stderr only warnings and errors; a log file gets the rest."""
    for handler in _to_stderr():
        handler.setLevel(logging.WARNING)


def say_more() -> None:
    """Log bike's details, too; lines have their time."""
    log.setLevel(logging.DEBUG)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_FORM)


def add_log(file: IO[str], name: str) -> None:
    """Write log lines to an open file as well; ``name`` is for what is said of it."""
    handler = _LogFile(file)
    handler.name = name
    handler.setFormatter(_FORM)
    for logger in (logging.getLogger(), said):
        logger.addHandler(handler)
    said.setLevel(logging.INFO)


def _to_stderr() -> list[_Stderr]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, _Stderr)]


def _is_quiet() -> bool:
    """Whether a command was told so; programs that import bike have bars all the same."""
    return any(max(handler.level, logging.getLogger().level) > logging.INFO for handler in _to_stderr())


def _short(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


class Progress:
    """Counts finished items; :func:`progress` makes one.

    Attributes:
        done: items finished so far.
        total: items in all, or None when unknown.
    """

    def __init__(self, title: str, total: int | None, unit: str, every_seconds: float = 10.0) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done = 0
        self.note = ""
        self._every = every_seconds
        self._start = self._last = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Add ``count`` finished items; ``note`` (such as ``3 rejected``) stands at the end of the line."""
        self.done += count
        self.note = note or self.note
        self._show(time.monotonic())

    def summary(self) -> str:
        """One line: items, rate, remaining time, note."""
        seconds = max(time.monotonic() - self._start, 1e-9)
        rate = self.done / seconds
        parts = [
            f"{self.title}: {self.done}{'' if self.total is None else f'/{self.total}'} {self.unit}, {_short(rate)}/s"
        ]
        if self.total and rate and self.done < self.total:
            parts.append(f"{(self.total - self.done) / rate:.0f} s left")
        if self.note:
            parts.append(self.note)
        return ", ".join(parts)

    def _show(self, now: float) -> None:
        if now - self._last >= self._every:
            self._last = now
            log.info("%s", self.summary())


@contextmanager
def progress(title: str, total: int | None, *, unit: str) -> Iterator[Progress]:
    """Show the progress of a job of ``total`` items.

    On a terminal a bar with rate, remaining time and the note is drawn on stderr; otherwise a log line is written every
    10 seconds and once at the end.
    """
    if _is_quiet() or not sys.stderr.isatty():
        job = Progress(title, total, unit)
        yield job
        log.info("%s", job.summary())
        return
    from rich import progress as rich
    from rich.console import Console
    from rich.table import Column
    from rich.text import Text

    class Note(rich.ProgressColumn):
        def render(self, task: rich.Task) -> Text:  # the one that gives way: a bar of two lines would smear
            return Text(task.fields["note"], no_wrap=True, overflow="ellipsis")

    console = Console(stderr=True)
    whole = [Column(no_wrap=True) for _ in range(4)]
    columns: list[rich.ProgressColumn] = [rich.TextColumn("{task.description}", markup=False, table_column=whole[0])]
    columns += [rich.BarColumn()] * (console.width >= _WIDE)
    columns += [rich.MofNCompleteColumn(table_column=whole[1])]
    columns += [rich.TimeElapsedColumn(table_column=whole[2])] * (console.width >= _WIDE)
    columns += [rich.TimeRemainingColumn(table_column=whole[3]), Note()]
    with rich.Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, note="")

        class Drawn(Progress):
            def _show(self, now: float) -> None:
                seconds = max(now - self._start, 1e-9)
                bar.update(task, completed=self.done, note=f"{_short(self.done / seconds)} {self.unit}/s {self.note}")

        yield Drawn(title, total, unit)
