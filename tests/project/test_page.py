"""The pages of the data sets say what the presets say, and extrapolate from the measured speeds."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.places import ROOT

from bike.errors import DataError
from bike.project.dataset import load_datasets
from bike.project.page import dataset_page, read_speeds
from bike.zoo import load_zoo

PAGES = ROOT / "docs" / "benchmarks"


@pytest.mark.parametrize("name", load_datasets())
def test_a_page_is_what_make_pages_writes(name: str) -> None:
    page = dataset_page(name, read_speeds(ROOT / "docs/benchmarks.md"))
    assert (PAGES / f"{name}.md").read_text(encoding="utf-8") == page, "run `make pages`"
    rows = [row for row in load_zoo().values() if row.dataset == name]
    assert all(f"| `{row.name}` |" in page for row in rows)


def test_every_data_set_of_a_row_has_a_page() -> None:
    assert {row.dataset for row in load_zoo().values()} == {path.stem for path in PAGES.glob("*.md")}


def test_hours_and_disk_follow_from_the_measured_speed() -> None:
    """13,320 videos of 7.2 s at 25 frames/s: 2.4 million frames of 16 KB; at 1,000 a second, two thirds of an hour."""
    page = dataset_page("ucf101", {"340×256": 1000.0, "1280×720": 1.0})
    assert "| extract | 6.8 GB of frame packs (38 GB with all frames) | 0.67 on two cores |" in page
    assert "0.426 million are kept, 32 of each video." in page
    assert "| shard | 6.8 GB of shards (38 GB) | 0.034 |" in page
    page = dataset_page("activitynet", {"340×256": 1.0, "1280×720": 1000.0})  # decoded whole, kept at a frame a second
    assert "| extract | 37 GB of frame packs | 15 on two cores |" in page


def test_a_page_without_speeds_is_refused(tmp_path: Path) -> None:
    (tmp_path / "benchmarks.md").write_text("| extraction, 340×256 → 256 | ffmpeg command line | 3,662 : 1 frames/s |")
    with pytest.raises(DataError, match="no speeds of extraction"):
        read_speeds(tmp_path / "benchmarks.md")
