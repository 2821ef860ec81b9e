"""The number of processes changes neither loss nor gradients nor what is gathered."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from helpers.fit import ALONE, CASES, gradients_of, meet, run_processes, save_gradients
from safetensors.torch import load_file

from bike.errors import BikeError
from bike.runtime.distributed import (
    any_of,
    collect_rows,
    gather_rows,
    join_world,
    rank_part,
    sum_gradients,
    working_type,
)


@pytest.mark.parametrize("size", [2, 3])
def test_gradients_do_not_depend_on_the_number_of_processes(size: int, tmp_path: Path) -> None:
    for ended in run_processes(size, save_gradients, str(tmp_path)):
        assert ended.status == 0, ended.errors
    ranks = [load_file(tmp_path / f"world{size}-rank{rank}.safetensors") for rank in range(size)]
    compared = 0
    for number, (kind, rows, options) in enumerate(CASES):
        alone = gradients_of(kind, rows, ALONE, options)
        assert len(alone) > 4
        for name, value in alone.items():
            for rank in ranks:
                found = rank[f"{number}.{name}"]
                torch.testing.assert_close(found, value, rtol=1e-3, atol=1e-5)
                compared += 1
    assert compared == sum(len(rank) for rank in ranks)


def test_processes_agree_and_say_so_when_one_is_gone(tmp_path: Path) -> None:
    first, second = run_processes(2, meet, str(tmp_path))
    assert (first.status, second.status) == (1, 1)
    assert "here is why." in second.errors
    assert "Another process of this run ended" in first.errors
    rows = [[1, 1, 1], [1, 1, 1]]
    assert json.loads((tmp_path / "0.json").read_text()) == [True, False, True, False, True, rows]
    assert json.loads((tmp_path / "1.json").read_text()) == [True, False, True, False, False, rows]


def test_parts_of_ranks_cover_everything_once_and_evenly() -> None:
    for count in (0, 1, 5, 7, 12):
        for size in (1, 2, 3, 7):
            parts = [list(range(count))[rank_part(count, rank, size)] for rank in range(size)]
            assert [item for part in parts for item in part] == list(range(count))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert [list(range(7))[rank_part(7, rank, 3)] for rank in range(3)] == [[0, 1], [2, 3], [4, 5, 6]]


def test_alone_nothing_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    rows = torch.ones(2, 3, requires_grad=True)
    assert torch.equal(gather_rows(ALONE, rows, [2]), rows)
    assert not gather_rows(ALONE, rows, [2]).requires_grad
    assert torch.equal(collect_rows(ALONE, rows), rows)
    assert any_of(ALONE, True)
    assert not any_of(ALONE, False)
    sum_gradients(ALONE, [rows])
    assert rows.grad is None


def test_threads_are_set_inside_and_put_back() -> None:
    before = torch.get_num_threads()
    with join_world(device="cpu", threads=3) as world:
        assert (world.rank, world.size, world.device.type, world.is_main) == (0, 1, "cpu", True)
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


def test_a_launcher_with_strange_variables_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "many")
    with pytest.raises(BikeError, match="WORLD_SIZE"), join_world():
        pass


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4"}, "mpirun started 4 .*MASTER_ADDR and MASTER_PORT"),
        ({"PMI_RANK": "0", "PMI_SIZE": "2"}, "mpiexec started 2 .*MASTER_ADDR"),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"}, "srun started 2 .*MASTER_ADDR"),
        ({"RANK": "2", "WORLD_SIZE": "2", "MASTER_ADDR": "x", "MASTER_PORT": "1"}, "RANK, .*process 2 of 2"),
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"}, None),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, None),  # a batch script, without srun
    ],
)
def test_processes_of_any_launcher_meet_or_are_refused(
    variables: dict[str, str], said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unconnected, each would train on its own and write the same file."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if said is None:
        with join_world(device="cpu") as world:
            assert (world.rank, world.size) == (0, 1)
        return
    with pytest.raises(BikeError, match=said), join_world(device="cpu"):
        pass


@pytest.mark.parametrize("launcher", ["OMPI_COMM_WORLD", "PMI"])
def test_processes_of_other_launchers_are_one_world(tmp_path: Path, launcher: str) -> None:
    names = {name: f"{launcher}_{name.removeprefix('WORLD_')}" for name in ("RANK", "WORLD_SIZE")}
    _, second = run_processes(2, meet, str(tmp_path), names=names)
    assert "here is why." in second.errors, second.errors
    assert json.loads((tmp_path / "0.json").read_text())[:2] == [True, False]


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:99", "meta"])
def test_a_device_that_is_not_there_is_refused_by_name(name: str) -> None:
    with pytest.raises(BikeError, match=f"--device.*{name}"), join_world(device=name):
        pass


def test_precision_follows_the_device() -> None:
    cpu = torch.device("cpu")
    assert working_type("auto", cpu) is None
    assert working_type("fp32", cpu) is None
    assert working_type("bf16", cpu) is torch.bfloat16
    with pytest.raises(BikeError, match="fp16"):
        working_type("fp16", cpu)
    assert logging.getLogger("bike").level != logging.ERROR
