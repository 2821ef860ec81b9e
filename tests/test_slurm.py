"""Job arrays and jobs of several machines, with a stand-in ``sbatch`` that runs them here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.commands import run_bike
from helpers.fit_data import make_data
from helpers.places import ROOT
from helpers.slurm import make_cluster, submitted
from helpers.videos import digests, make_video

from bike import slurm
from bike.extract.run import extract_videos
from bike.model.weights import load_released


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    return {**make_cluster(tmp_path / "cluster"), "PYTHONPATH": str(ROOT)}


def test_an_array_whose_killed_part_is_retried_gives_the_bytes_of_one_process(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    for number in range(6):
        make_video(tmp_path / f"videos/{number}.mp4", 3)
    words = ("slurm", "extract", "videos", "out", "--jobs", "1", "--parts", "3", "--sbatch", "--time=1:00 --mem=1G")
    first = run_bike(*words, cwd=tmp_path, STAND_IN_KILLS="2", **variables)
    assert first.returncode == 1, first.stderr
    assert "1 of 3 parts did not end well: 2. Look" in first.stderr
    assert "--retry" in first.stderr
    (array,) = submitted(tmp_path / "cluster")
    assert array[:4] == ["--wait", "--time=1:00", "--mem=1G", "--array=1-3"]
    assert not (tmp_path / "out/manifest.csv").exists()
    second = run_bike(*words, "--retry", cwd=tmp_path, **variables)
    assert second.returncode == 0, second.stderr
    jobs = submitted(tmp_path / "cluster")
    assert sorted(word for job in jobs for word in job if "array" in word) == ["--array=2"]
    assert len(jobs) == 2  # and the merge
    extract_videos(tmp_path / "videos", tmp_path / "whole", jobs=1)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_many_parts_go_into_several_arrays(
    tmp_path: Path, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but marks is made: the command is `true`."""
    monkeypatch.setattr(slurm, "_BIKE", ("-c", ""))
    assert slurm.MOST_TASKS == 1000
    monkeypatch.setattr(slurm, "MOST_TASKS", 3)
    monkeypatch.setenv("PATH", variables["PATH"])
    folder = tmp_path / "logs"

    def run(*, retry: bool) -> list[str]:
        slurm.run_parts(["extract"], folder, parts=7, retry=retry, options=[])
        return sorted(
            f"{word} + {job[-1]}" for job in submitted(tmp_path / "cluster") for word in job if "array" in word
        )

    assert run(retry=False) == ["--array=1 + 6", "--array=1-3 + 0", "--array=1-3 + 3"]
    assert sorted(path.name for path in folder.glob("*.done")) == [f"{number}.done" for number in range(1, 8)]
    for number in (1, 3, 6):
        (folder / f"{number}.done").unlink()
    assert run(retry=True) == ["--array=1,3 + 0", "--array=3 + 3"]
    assert run(retry=True) == []  # the merge alone


def test_a_training_on_two_machines_is_that_of_one_process(tmp_path: Path, variables: dict[str, str]) -> None:
    data = make_data(tmp_path / "data")
    words = ["train", "--train", str(data.train), "--shards", str(data.frames), "--params", str(data.params)]
    words += ["--device", "cpu", "--workers", "0"]
    alone = run_bike(*words, "--out", "alone.pt", cwd=tmp_path, **variables)
    assert alone.returncode == 0, alone.stderr
    both = run_bike("slurm", *words, "--out", "both.pt", "--nodes", "2", "--processes", "1", cwd=tmp_path, **variables)
    logs = "".join(path.read_text() for path in (tmp_path / "slurm").rglob("*.log"))
    assert both.returncode == 0, logs
    (job,) = submitted(tmp_path / "cluster")
    assert job[:3] == ["--wait", "--nodes=2", "--ntasks-per-node=1"]
    ours, theirs = (load_released(tmp_path / name)[1].state_dict() for name in ("alone.pt", "both.pt"))
    for name, tensor in ours.items():
        torch.testing.assert_close(theirs[name], tensor, rtol=0, atol=1e-4)


def test_mistakes_end_before_anything_is_submitted(tmp_path: Path, variables: dict[str, str]) -> None:
    for words, expected in (
        (("extract", "a", "b"), "--parts, --nodes: one of them is needed"),
        (("extract", "a", "b", "--parts", "2", "--nodes", "2"), "one of them is needed"),
        (("extract", "a", "b", "--nodes", "2"), "extract: does not run on several machines; train, attributes"),
        (("train", "--parts", "2"), "train: does not run in parts; extract, shard"),
        (("extract", "a", "b", "--shrt-side", "8", "--parts", "2"), "--shrt-side"),
        (("extract", "a", "--parts", "2"), "OUT"),
        (("extract", "a", "b", "--parts", "2", "--part", "1/2"), "--part: is given to each task by"),
        (("extract", "a", "b", "--parts", "2", "--merge"), "--merge: is given to each task by"),
        (("extract", "a\nb", "b", "--parts", "2"), "can't be written into a script"),
        (("extract", "a", "b", "--parts", "2", "--sbatch", "--time='1"), "--sbatch: not a command line"),
    ):
        done = run_bike("slurm", *words, cwd=tmp_path, **variables)
        assert done.returncode != 0
        assert expected in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "slurm").exists()
    nowhere = run_bike("slurm", "extract", "a", "b", "--parts", "2", cwd=tmp_path, PATH="/nowhere")
    assert "sbatch: not found" in nowhere.stderr
    assert not (tmp_path / "slurm").exists()
