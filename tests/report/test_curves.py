"""Curves are read as dvclive writes them, and thinned without losing their shape."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from helpers.results import write_curves, write_results

from bike.errors import DataError
from bike.report.curves import MAX_POINTS, Curve, read_curves, thin_out, validation_values
from bike.train.curves import Curves


def test_curves_are_read_by_run_and_metric(tmp_path: Path) -> None:
    write_curves(tmp_path / "pretrain_strong")
    curves = read_curves(write_results(tmp_path))
    assert [(curve.run, curve.metric) for curve in curves if curve.run == "video-none-vcs"] == [
        ("video-none-vcs", "lr"),
        ("video-none-vcs", "train/loss"),
        ("video-none-vcs", "val/top1"),
    ]
    assert list(dict.fromkeys(curve.run for curve in curves))[-2:] == ["pretrain", "pretrain_strong"]
    assert all(len(curve.points) == 400 for curve in curves)


def test_the_last_validation_value_counts_and_map_where_there_is_one() -> None:
    def curve(run: str, metric: str, *values: float) -> Curve:
        return Curve(run, metric, pd.Series(values, index=range(len(values)), dtype=float))

    curves = [curve("a", "val/top1", 60, 50), curve("b", "val/map", 1, 9), curve("b", "val/top1", 70)]
    assert validation_values([*curves, curve("c", "train/loss", 3)]) == {"a": 50, "b": 9}
    assert (curves[0].title, curves[0].unit) == ("Top-1 on the validation split", "top-1 (%)")
    assert (curve("a", "my/own", 1).title, curve("a", "my/own", 1).unit) == ("my/own", "value")


def test_curves_as_dvclive_writes_them(tmp_path: Path) -> None:
    curves = Curves(tmp_path / "train" / "a")
    for step, loss in enumerate((2.0, 1.0, 0.5)):
        curves.add(step, {"train/loss": loss})
    curves.close()
    (curve,) = read_curves(tmp_path)
    assert (curve.metric, curve.points.to_dict()) == ("train/loss", {0: 2.0, 1: 1.0, 2: 0.5})


def write_loss(folder: Path, text: str) -> None:
    path = folder / "train" / "a" / "plots" / "metrics" / "loss.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_curve_values_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    write_loss(tmp_path, "step\tloss\n2\t1.5\n0\tnan\n1\tinf\n3\t-1e308\n1e300\t1\n")
    (curve,) = read_curves(tmp_path)
    assert curve.points.to_dict() == {2: 1.5}
    write_loss(tmp_path, "step\tloss\n0\tnan\n")
    assert read_curves(tmp_path) == []


@pytest.mark.parametrize("text", ["step\tloss\n0\thigh\n", "step\n0\n", "loss\n1\n", "a,b\n", "step\tloss\n1\n"])
def test_damaged_curves_are_named(tmp_path: Path, text: str) -> None:
    write_loss(tmp_path, text)
    with pytest.raises(DataError, match=r"loss\.tsv"):
        read_curves(tmp_path)


def test_thinning_keeps_ends_and_means() -> None:
    points = pd.Series([float(i % 2) for i in range(1000)])
    thin = thin_out(points, 100)
    assert len(thin) == 100
    assert (thin.index[0], thin.iloc[0]) == (4.5, 0.5)
    assert (thin.index[-1], thin.iloc[-1]) == (994.5, 0.5)
    assert thin_out(points[:MAX_POINTS]).equals(points[:MAX_POINTS].set_axis(pd.Index(range(MAX_POINTS), dtype=float)))
