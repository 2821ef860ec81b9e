"""Evaluation in parts: the same bytes as in one process, and nothing is merged that is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import fit_program
from helpers.fit import run_processes, tiny_encoder
from helpers.fit_data import DataSet, make_data

from bike.errors import BikeError, ParamsError
from bike.evaluate.results import FILES
from bike.evaluate.run_video import evaluate_video
from bike.evaluate.run_zeroshot import evaluate_zeroshot
from bike.files.parts import MERGE, Part, Split
from bike.model.heads import VideoHead
from bike.model.weights import save_released
from bike.params import Views, load_params
from bike.runtime.checkpoint import Place

PARTS = [3, 1, 2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """27 videos in batches of 4, and ``model.pt``: an untrained video branch."""
    sections: dict[str, dict[str, object]] = {"evaluate": {"batch_size": 4, "threads": 1}}
    data = make_data(tmp_path_factory.mktemp("parts") / "data", per_class=9, val_per_class=0, sections=sections)
    torch.manual_seed(1)
    save_released(data.root / "model.pt", tiny_encoder(), VideoHead(16, 1, num_layers=1), 0)
    return data


def evaluate(data: DataSet, out: Path, split: Split | None = None, **options: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = {"views": Views(clips=2, crops=3), "checkpoint": data.root / "model.pt", **options}
    function = evaluate_video if chosen["checkpoint"] else evaluate_zeroshot
    return function(
        load_params(data.params),
        samples=data.train,
        frames=data.frames,
        labels=data.labels,
        out=out,
        place=Place(device="cpu", workers=0, split=split),
        **chosen,
    )


def result(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_a_killed_part_and_others_in_any_order_give_the_bytes_of_one_process(data: DataSet) -> None:
    whole = evaluate(data, data.root / "whole")
    out = data.root / "out"
    (killed,) = run_processes(1, fit_program.evaluate, str(data.root), "out", "6", "SIGKILL", "1/3")
    assert killed.status == -9, killed.errors
    assert list((data.root / ".out.state/.bike-parts/1-of-3").glob("rows-*.pt"))
    assert evaluate(data, out, Part(2, 3)) == {}
    with pytest.raises(BikeError, match="2 of 3 parts are missing or not complete.*: 1; 3. Run"):
        evaluate(data, out, MERGE)
    with pytest.raises(BikeError, match="was begun in 3 parts"):
        evaluate(data, out, Part(1, 2))
    assert not (out / "metrics.json").exists()
    (again,) = run_processes(1, fit_program.evaluate, str(data.root), "out", "0", "SIGKILL", "1/3")
    assert again.status == 0, again.errors
    evaluate(data, out, Part(3, 3))
    with pytest.raises(BikeError, match="made with other settings"):
        evaluate(data, out, MERGE, views=Views(clips=1, crops=3))
    assert evaluate(data, out, MERGE) == whole
    assert result(out) == result(data.root / "whole")
    assert not (data.root / ".out.state").exists()


def test_zero_shot_in_parts(data: DataSet, tmp_path: Path) -> None:
    whole = evaluate(data, tmp_path / "whole", checkpoint=None)
    for number in PARTS:
        evaluate(data, tmp_path / "out", Part(number, 3), checkpoint=None)
    assert evaluate(data, tmp_path / "out", MERGE, checkpoint=None) == whole
    assert result(tmp_path / "out") == result(tmp_path / "whole")


def test_a_part_of_several_processes(data: DataSet, tmp_path: Path) -> None:
    for number in (1, 2):
        for ended in run_processes(2, fit_program.evaluate, str(data.root), "two", "0", "SIGKILL", f"{number}/2"):
            assert ended.status == 0, ended.errors
    metrics = evaluate(data, data.root / "two", MERGE)
    assert metrics == evaluate(data, tmp_path / "whole")


def test_a_finished_result_of_other_settings_is_replaced_on_request_only(data: DataSet, tmp_path: Path) -> None:
    out = tmp_path / "out"
    evaluate(data, out, views=Views(clips=1, crops=3))
    before = result(out)
    evaluate(data, out, Part(1, 1))
    with pytest.raises(BikeError, match="--replace"):
        evaluate(data, out, MERGE)
    assert result(out) == before
    assert evaluate(data, out, MERGE, replace=True) == evaluate(data, tmp_path / "whole")


def test_options_say_which_part(monkeypatch: pytest.MonkeyPatch) -> None:
    from bike.commands.options import split_of

    assert split_of(None, False) is None
    assert split_of(None, True) == MERGE
    assert split_of("2/3", False) == Part(2, 3)
    for name, value in (("ID", 5), ("MIN", 5), ("MAX", 8), ("COUNT", 4)):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    assert split_of("slurm", False) == Part(1, 4)
    with pytest.raises(ParamsError, match="both are given"):
        split_of("1/2", True)
