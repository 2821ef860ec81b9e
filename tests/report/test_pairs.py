"""Order pairs: only the two scores count, and a name that is no class is an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.results import NAMES, PAIRS, write_evaluation, write_scored

from bike.errors import DataError, ParamsError
from bike.report.pairs import pair_results
from bike.report.rows import results_table


def test_order_pairs_compare_the_two_scores_only(tmp_path: Path) -> None:
    folder = tmp_path / "fuse" / "1x1"
    scores = [[0.2, 0.1, 0.7], [0.1, 0.3, 0.6], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3], [1, 0, 0], [0, 1, 0]]
    write_scored(folder, scores, [0, 0, 1, 1, 2, 2], ("left", "right", "other"))
    (result,) = pair_results(folder, [("left", "right")])
    assert result.correct == 25.0
    assert result.forced == 100 * (1 + 0 + 0.5 + 1) / 4  # a tie counts half
    row = results_table(tmp_path, order_pairs=[("left", "right")])[-1]
    assert (row.order, row.pairs) == (result.forced, (result,))


def test_order_pairs_without_videos_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "fuse" / "1x1"
    write_scored(folder, [[0.2, 0.1, 0.7, 0.0], [0.1, 0.3, 0.6, 0.0]], [2, 2], ("a", "b", "c", "d"))
    assert [result.pair for result in pair_results(folder, [("a", "b"), ("c", "d")])] == [("c", "d")]


def test_order_pairs_without_scores_or_confusion(tmp_path: Path) -> None:
    folder = tmp_path / "fuse" / "1x1"
    write_evaluation(folder)
    (folder / "scores.safetensors").unlink()
    assert {pair.forced for pair in pair_results(folder, PAIRS)} == {None}
    (folder / "confusion.csv").unlink()
    assert {pair.correct for pair in pair_results(folder, PAIRS)} == {None}
    (folder / "per_class.csv").unlink()
    assert pair_results(folder, PAIRS) == []


def test_an_unknown_name_in_a_pair_is_named(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "fuse" / "1x1")
    with pytest.raises(
        ParamsError, match=r"order_pairs: 'a ball roll left' is not a class.*Did you mean 'a ball rolls left'"
    ):
        results_table(tmp_path, order_pairs=[("a ball roll left", NAMES[1])])


def test_damaged_scores_or_those_of_other_classes_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "fuse" / "1x1"
    write_evaluation(folder)
    other = (folder / "scores.safetensors").read_bytes().replace(b"a square grows", b"a square slows")
    (folder / "scores.safetensors").write_bytes(other)
    with pytest.raises(DataError, match=r"scores\.safetensors and per_class\.csv have other classes"):
        results_table(tmp_path, order_pairs=PAIRS)
    (folder / "scores.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(DataError, match=r"scores\.safetensors: not a scores file"):
        results_table(tmp_path, order_pairs=PAIRS)
