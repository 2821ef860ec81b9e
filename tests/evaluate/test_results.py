"""Results read back: numbers that no evaluation gives are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.scores import fake_scores

from bike.errors import DataError
from bike.evaluate.results import read_numbers, read_per_class, summary_line, write_results


def test_numbers_beyond_a_float_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"top1": 12.5, "name": "x", "videos": 1' + "0" * 400 + "}")
    with pytest.raises(DataError, match=r"metrics\.json: videos is too large a number"):
        read_numbers(tmp_path / "metrics.json")
    (tmp_path / "metrics.json").write_text('{"top1": 12.5, "name": "x", "mismatch": {"frames": "16"}}')
    assert read_numbers(tmp_path / "metrics.json") == {"top1": 12.5}


@pytest.mark.parametrize(
    "row", ["0,a,4,nan,", "0,a,4,inf,", "0,a,4,,-1", "0,a,4,101,", "0,a,-4,,", "-1,a,4,,", "0,a,1e3,,"]
)
def test_impossible_rows_of_classes_are_refused(tmp_path: Path, row: str) -> None:
    (tmp_path / "per_class.csv").write_text(f"label,name,videos,top1,ap\n{row}\n")
    with pytest.raises(DataError, match=r"per_class\.csv: not classes with their numbers"):
        read_per_class(tmp_path / "per_class.csv")


def test_the_summary_tells_what_counts_in_map(tmp_path: Path) -> None:
    metrics = write_results(tmp_path, fake_scores(["a", "b", "c", "d"], 0, labels=(0, 1, 0, 0)))
    assert summary_line(metrics).endswith("4 videos (1 classes without a video count as 0 in mAP)")
    assert metrics["map_seen_classes"] == pytest.approx(metrics["map"] * 3 / 2, abs=1e-3)
    assert metrics["map_labelled_videos"] == metrics["map"]
