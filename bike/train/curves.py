"""Training curves through DVCLive, the same whether a run was interrupted or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bike.errors import BikeError

Point = tuple[int, dict[str, float]]
"""A step from 0 over the whole run, and the values logged after it, by name."""


def latest(points: Sequence[Point], name: str) -> float | None:
    """The value logged last under ``name``; None where there is none."""
    return next((values[name] for _, values in reversed(points) if name in values), None)


class Curves:
    """Writes ``metrics.json`` and ``plots/metrics/*.tsv``; remembers every point, so that a state can hold them.

    DVCLive's own resuming appends to whatever lies in the folder, points after the last saved state included. Here the
    folder is written again from the saved points instead, so that every step appears in it once.

    Args:
        folder: wiped at the start; None writes nothing.
        points: from an earlier part of this run.
    """

    def __init__(self, folder: Path | str | None, points: list[Point] | None = None) -> None:
        self.points: list[Point] = []
        self._live: Any = None
        if folder is not None:
            # Imported here, since it brings all of DVC along, which takes seconds.
            from dvclive.live import Live
            from scmrepo.exceptions import SCMError

            try:
                # No dvc.yaml and no experiment of its own: the pipeline keeps the files.
                self._live = Live(str(folder), dvcyaml=None, save_dvc_exp=False, report=None)
            except SCMError as error:  # such as a repository without a commit
                raise BikeError(
                    f"{folder}: no curves can be written, since this git repository can't be read ({error}). "
                    "Make a first commit, or leave the folder of the curves out."
                ) from error
            self._close_repository()
        for step, values in points or []:
            self.add(step, values)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Log values of one moment under names such as ``train/loss``; ``step`` counts from 0 over the whole run."""
        self.points.append((step, dict(values)))
        if self._live is not None:
            self._live.step = step
            for name, value in values.items():
                self._live.log_metric(name, value)

    def close(self) -> None:
        """Finish the files."""
        if self._live is not None:
            self._live.end()
            self._close_repository()

    def _close_repository(self) -> None:
        """DVCLive opens the DVC repository to learn of a running experiment, and leaves git's packs open."""
        if (repository := self._live._dvc_repo) is not None:
            repository.close()
