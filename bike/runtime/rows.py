"""Results of a long job that come one by one, kept on disk as they do."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor

from bike.runtime.checkpoint import STATE_FILE, load_state, save_state


class PartialRows:
    """Results of a long job, one row for each item, kept on disk as they come.

    Args:
        folder: of the files; None keeps nothing.
        job: the job's fingerprint; rows of another job are left aside.
        rank: of this process; each writes files of its own.
        every_seconds: between two saves.
    """

    def __init__(self, folder: Path | str | None, job: str, *, rank: int = 0, every_seconds: float = 60.0) -> None:
        self._folder = None if folder is None else Path(folder)
        self._job, self._rank, self._every_seconds = job, rank, every_seconds
        self._saved_at = time.monotonic()
        self._waiting: list[tuple[Tensor, Tensor]] = []

    def load(self) -> list[tuple[Tensor, Tensor]]:
        """Pairs of items' numbers (n,) int64 and their rows (n, …), from all processes; each item once."""
        found: list[tuple[Tensor, Tensor]] = []
        seen: set[int] = set()
        for path in sorted(self._folder.glob("rows-*.pt")) if self._folder is not None else []:
            state = load_state(path)
            if state is None or state.get("job") != self._job:
                continue
            index, rows = state["index"], state["rows"]
            fresh = [place for place, item in enumerate(index.tolist()) if item not in seen]
            seen.update(index.tolist())
            found.append((index[fresh], rows[fresh]))
        return found

    def add(self, index: Tensor, rows: Tensor) -> None:
        """Note finished rows; now and then they are written."""
        if self._folder is None:
            return
        self._waiting.append((index, rows))
        if time.monotonic() - self._saved_at >= self._every_seconds:
            self.save()

    def save(self) -> None:
        """Write what waits."""
        self._saved_at = time.monotonic()
        if self._folder is None or not self._waiting:
            return
        index, rows = (torch.cat(parts) for parts in zip(*self._waiting, strict=True))
        # Numbered on from the last file that is there: earlier ones hold other rows, and some may be gone.
        there = [path.stem for path in self._folder.glob("rows-*.pt") if STATE_FILE.fullmatch(path.name)]
        numbers = (stem.split("-")[1:] for stem in there)
        number = max((int(last) + 1 for rank, last in numbers if int(rank) == self._rank), default=0)
        state = {"job": self._job, "index": index, "rows": rows}
        save_state(self._folder / f"rows-{self._rank}-{number:06d}.pt", state)
        self._waiting.clear()
