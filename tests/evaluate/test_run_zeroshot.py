"""Zero-shot evaluations: all classes, random halves, given splits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.contracts import save_model
from helpers.fit import tiny_encoder
from helpers.fit_data import NAMES, DataSet, make_data

from bike.errors import DataError, ParamsError
from bike.evaluate.results import summary_line
from bike.evaluate.run_zeroshot import evaluate_zeroshot
from bike.evaluate.scores import read_scores
from bike.model.heads import VideoHead
from bike.model.weights import save_released
from bike.params import Views, load_params
from bike.records import Sample, read_list, write_labels, write_list
from bike.runtime.checkpoint import Place


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return make_data(tmp_path_factory.mktemp("zeroshot") / "data")


def zeroshot(data: DataSet, out: Path, **options: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        "samples": data.train,
        "frames": data.frames,
        "labels": out.parent / "labels.csv",
        "views": Views(),
        "place": Place(device="cpu", workers=0),
        **options,
    }
    return evaluate_zeroshot(load_params(data.params), out=out, **chosen)


def test_zero_shot_protocols(data: DataSet, tmp_path: Path) -> None:
    names = [*NAMES, "white square", "black square"]
    write_labels(tmp_path / "labels.csv", names)
    splits = [tmp_path / "split1.txt", tmp_path / "split2.txt"]
    for path, part in zip(splits, (names[:2], names[2:]), strict=True):
        path.write_text("\n".join(part))
    metrics = zeroshot(data, tmp_path / "out", class_splits=splits)
    scores = read_scores(tmp_path / "out")
    assert scores.logits is not None
    logits, labels = scores.logits, scores.targets.long().argmax(1)
    again = zeroshot(data, tmp_path / "again", weights=str(data.weights))
    assert again["top1"] == metrics["top1"]
    first, second = labels < 2, labels == 2
    values = [
        100 * float((logits[first, :2].argmax(1) == labels[first]).double().mean()),
        100 * float((logits[second, 2:].argmax(1) == 0).double().mean()),
    ]
    assert [metrics["split1_top1"], metrics["split2_top1"]] == pytest.approx(values, abs=1e-3)
    assert metrics["split_top1_mean"] == pytest.approx(sum(values) / 2, abs=1e-3)
    assert "split_top1_std" in metrics
    several = tmp_path / "several.csv"
    write_list(several, [replace(sample, labels=(0, 1)) for sample in read_list(data.train)])
    with pytest.raises(DataError, match="--split: videos with several labels"):
        zeroshot(data, tmp_path / "several", class_splits=splits[:1], samples=several)
    splits[0].write_text("grey\nred square")
    with pytest.raises(DataError, match="'grey'"):
        zeroshot(data, tmp_path / "o", class_splits=splits[:1])


def test_half_class_results_are_reported(data: DataSet, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_labels(tmp_path / "labels.csv", [*NAMES, "white square"])
    samples = [Sample(s.key, s.video, s.path, (n % 4,), s.frames) for n, s in enumerate(read_list(data.train))]
    write_list(tmp_path / "list.csv", samples)
    options = {"samples": tmp_path / "list.csv"}
    torch.manual_seed(1)
    save_released(tmp_path / "model.pt", tiny_encoder(), VideoHead(16, 1, num_layers=1), 0)
    metrics = zeroshot(data, tmp_path / "out", checkpoint=tmp_path / "model.pt", **options)
    told = save_model(tmp_path / "told.pt")  # its classes are others, as they should be here
    assert zeroshot(data, tmp_path / "told", checkpoint=told, **options) == metrics
    assert "was trained on 3 of the 4 classes (red square; green square; blue square)" in caplog.text
    with pytest.raises(ParamsError, match=r"head: 'a new one', but .*told\.pt was trained with 'transf\+vcs'"):
        zeroshot(data, tmp_path / "no", weights=told, **options)
    assert 0 <= metrics["half_top1_mean"] <= 100
    assert metrics["half_top5_mean"] == 100  # two classes
    assert metrics["half_top1_std"] >= 0
    assert "half-class top-1" in summary_line(metrics)
