"""Progress of long jobs: a bar on a terminal, plain log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger("bike")


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
    if not sys.stderr.isatty():
        job = Progress(title, total, unit)
        yield job
        log.info("%s", job.summary())
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, note="")

        class Drawn(Progress):
            def _show(self, now: float) -> None:
                seconds = max(now - self._start, 1e-9)
                bar.update(task, completed=self.done, note=f"{_short(self.done / seconds)} {self.unit}/s {self.note}")

        yield Drawn(title, total, unit)
