"""Rows of several jobs in one folder: each goes on with its own, and leaves the others'."""

from __future__ import annotations

from pathlib import Path

import torch

from bike.files.parts import Part
from bike.runtime.checkpoint import STATE_NAME, discard_state, save_state
from bike.runtime.rows import PartialRows


def save_rows(folder: Path, job: str, *items: int) -> None:
    rows = PartialRows(folder, job)
    rows.add(torch.tensor(items), torch.tensor(items, dtype=torch.float32))
    rows.save()


def items(folder: Path, job: str) -> list[int]:
    return sorted(item for index, _ in PartialRows(folder, job).load() for item in index.tolist())


def test_a_finished_job_takes_its_own_rows_away(tmp_path: Path) -> None:
    part = Part(1, 2).folder(tmp_path)
    for folder in (tmp_path, part):
        save_rows(folder, "done", 0, 1)
        save_rows(folder, "stopped", 2, 3)
        save_rows(folder, "stopped", 4)
    save_state(tmp_path / STATE_NAME, {"settings": {}})  # of a training
    (tmp_path / "rows-0-000009.pt").write_text("damaged")
    discard_state(tmp_path, jobs={"done"})
    (tmp_path / "rows-0-000009.pt").unlink()
    for folder in (tmp_path, part):
        assert items(folder, "done") == []
        assert items(folder, "stopped") == [2, 3, 4]
        save_rows(folder, "stopped", 5)  # under a new name, though earlier ones are gone
        assert items(folder, "stopped") == [2, 3, 4, 5]
    assert (tmp_path / STATE_NAME).exists()
    (tmp_path / STATE_NAME).unlink()
    discard_state(tmp_path, jobs={"stopped"})
    assert not tmp_path.exists()
