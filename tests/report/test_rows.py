"""The rows of the result table come from the metrics files, and from nothing else."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.results import NAMES, PAIRS, write_curves, write_evaluation, write_results

from bike.errors import BikeError, DataError
from bike.report.rows import Row, best_row, check_complete, chosen_row, expected_random_ap, find_row, results_table

PER_CLASS = "label,name,videos,top1,ap\n"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_results(tmp_path / "results")


def test_rows_stand_in_the_order_of_the_method(results: Path) -> None:
    rows = results_table(results)
    assert [(row.name, row.views) for row in rows] == [
        ("", ""),
        *itertools.product(
            ("zeroshot", "video-none-dp", "video-none-vcs", "video-transf-dp", "video-transf-vcs"), ("1×1", "4×3")
        ),
        ("attributes", ""),
        *itertools.product(("fuse",), ("1×1", "4×3")),
    ]


def test_figures_are_those_of_the_files(results: Path) -> None:
    path = results / "video-transf-vcs" / "4x3"
    metrics = {"top1": 12.3456, "top5": 100, "mean_class": 0, "map": None, "videos": 7, "note": "text is left out"}
    (path / "metrics.json").write_text(json.dumps(metrics))
    rows = results_table(results)
    row = find_row(rows, "video-transf-vcs", "4×3")
    assert row is not None
    assert (row.top1, row.top5, row.mean_class, row.map) == (12.3456, 100.0, 0.0, None)
    assert (row.videos, row.title) == (7, "Video branch (transf + vcs), 4×3")
    assert best_row(rows).top1 == max(row.top1 for row in rows if row.folder and row.top1 is not None)


def test_a_tie_does_not_hide_the_trained_model_and_validation_chooses() -> None:
    names = ("zeroshot", "video-none-dp", "video-transf-vcs", "fuse")
    rows = [Row("", "Chance", top1=100.0)]
    rows += [Row(name, name, views="1×1", top1=90.0, folder=Path(name)) for name in names]
    assert best_row(rows).name == "fuse"
    assert best_row(rows[:3]).name == "video-none-dp"
    more = [*rows, Row("video-none-dp", "x", views="4×3", top1=1.0, folder=Path("x"))]
    chosen = chosen_row(more, {"video-none-dp": 60.0, "video-transf-vcs": 50.0, "pretrain": 99.0})
    assert chosen is more[-1]  # its last views, whatever they reach on the test split
    equal = chosen_row(rows, {"video-none-dp": 60.0, "video-transf-vcs": 60.0})
    assert equal is not None
    assert equal.name == "video-transf-vcs"
    assert chosen_row(rows, {"other": 1.0}) is None


def test_a_method_without_results_is_not_run(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "video-none-dp" / "1x1")
    missing = [row for row in results_table(tmp_path) if not row.ran]
    names = ["Zero-shot, pretrained CLIP", "Attribute branch", "Fusion of both branches"]
    assert [(row.method, row.top1, row.folder) for row in missing] == [(name, None, None) for name in names]


def test_other_names_come_last_and_results_of_other_data_sets_are_left_out(results: Path) -> None:
    before = results_table(results)
    write_evaluation(results / "my-videos" / "fuse" / "1x1")
    write_evaluation(results / "my-videos" / "attributes")
    write_evaluation(results / "zoo" / "k400-vitb16-8f")
    write_evaluation(results / "few-shot-4" / "8x10")
    *others, row = results_table(results)
    assert others == before
    assert (row.name, row.method, row.views) == ("few-shot-4", "few-shot-4", "8×10")


@pytest.mark.parametrize(("names", "reason"), [(NAMES[::-1], "another order"), (NAMES[1:], "5 of 5 places")])
def test_evaluations_of_other_classes_share_no_table(results: Path, names: tuple[str, ...], reason: str) -> None:
    write_evaluation(results / "other" / "1x1", names=names)
    with pytest.raises(DataError, match=rf"other/1x1 and .*attributes: other classes, class 0 is .*({reason})"):
        results_table(results)


def test_curves_are_not_evaluations(tmp_path: Path) -> None:
    write_curves(tmp_path / "train" / "video-none-dp", steps=3)
    write_curves(tmp_path / "pretrain", steps=3)
    with pytest.raises(DataError, match=r"no <name>/<views>/metrics\.json"):
        results_table(tmp_path)


def test_protocols_with_a_spread(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "zeroshot" / "1x1")
    path = tmp_path / "zeroshot" / "1x1" / "metrics.json"
    extra = {"half_top1_mean": 61.5, "half_top1_std": 3.25, "half_top5_mean": 90.0}
    path.write_text(json.dumps(json.loads(path.read_text()) | extra))
    chance, row, *_ = results_table(tmp_path)
    assert row.spreads == (("random halves of the classes, top-1", 61.5, 3.25),)
    assert chance.spreads == ()


def test_results_that_are_expected_and_missing_are_named(results: Path) -> None:
    check_complete(results, ["zeroshot/1x1", "attributes", "train/attributes", "pretrain"])
    (results / "fuse" / "4x3" / "metrics.json").unlink()
    with pytest.raises(DataError, match=r"no metrics\.json in fuse/4x3; train/video-none-dp\. Run or pull"):
        check_complete(results, ["zeroshot/1x1", "fuse/4x3", "fuse/1x1", "train/video-none-dp"])


def test_chance_of_one_label_per_video(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "fuse" / "1x1", per_class=5)
    chance = results_table(tmp_path, order_pairs=PAIRS)[0]
    assert chance.method == "Chance"
    assert chance.top1 == chance.mean_class == pytest.approx(100 / 6)
    assert chance.top5 == pytest.approx(500 / 6)
    assert chance.map == pytest.approx(100 * expected_random_ap(5, 30))
    assert (chance.videos, chance.order) == (30, 50.0)


def test_chance_of_several_labels_per_video(tmp_path: Path) -> None:
    folder = tmp_path / "fuse" / "1x1"
    write_evaluation(folder)
    (folder / "per_class.csv").write_text("label,name,videos,top1,ap\n0,a,8,,9\n1,b,4,,9\n")
    (folder / "metrics.json").write_text('{"map": 40, "videos": 10}')
    chance = results_table(tmp_path)[0]
    assert chance.top1 == pytest.approx(60)  # 12 labels on 10 videos and 2 classes
    assert chance.top5 is chance.mean_class is None
    assert chance.map == pytest.approx(50 * (expected_random_ap(8, 10) + expected_random_ap(4, 10)))


@pytest.mark.parametrize(("positives", "total"), [(1, 1), (1, 5), (2, 5), (3, 6), (6, 6)])
def test_expected_random_ap_is_the_mean_over_all_orders(positives: int, total: int) -> None:
    values = []
    for places in itertools.combinations(range(1, total + 1), positives):
        values.append(sum((i + 1) / place for i, place in enumerate(places)) / positives)
    assert expected_random_ap(positives, total) == pytest.approx(np.mean(values))


def test_chance_of_a_huge_test_split_needs_no_loop() -> None:
    assert expected_random_ap(10**11, 10**12) == pytest.approx(0.1)
    exact = sum(1 / rank for rank in range(1, 1_000_002))
    assert expected_random_ap(1, 1_000_001) == pytest.approx(exact / 1_000_001, rel=1e-12)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("metrics.json", "[1]", "an object of numbers is needed"),
        ("metrics.json", '{"top1": 101}', "top1 must be a percentage"),
        ("metrics.json", '{"top1": -1}', "top1 must be a percentage"),
        ("metrics.json", '{"top1": NaN}', "NaN is no JSON number"),
        ("metrics.json", '{"videos": 1e30}', r"videos must be a count \(got 1e\+30\)"),
        ("metrics.json", '{"videos": 2.5}', "videos must be a count"),
        ("metrics.json", '{"videos": -1}', "videos must be a count"),
        ("metrics.json", '{"top1": 40, "videos": 3}', "other counts of videos"),
        ("metrics.json", "{", "not valid JSON"),
        ("per_class.csv", "label,name\n0,a\n", "column 'videos' is missing"),
        ("per_class.csv", f"{PER_CLASS}x,a,1,2,3\n", "not classes with their numbers .*'x'"),
        ("per_class.csv", f"{PER_CLASS}0,a,1,2,high\n", "not classes with their numbers .*'high'"),
        ("per_class.csv", f"{PER_CLASS}0,a,1,2,3,4\n0,a,1,2,3,4,5\n", "rows need 5 .*: line 2 has 6; line 3 has 7"),
    ],
)
def test_impossible_and_damaged_files_are_refused(tmp_path: Path, file: str, text: str, message: str) -> None:
    write_evaluation(tmp_path / "fuse" / "1x1")
    (tmp_path / "fuse" / "1x1" / file).write_text(text)
    with pytest.raises(BikeError, match=message) as error:
        results_table(tmp_path)
    assert file in str(error.value)
