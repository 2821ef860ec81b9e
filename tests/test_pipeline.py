"""The whole pipeline in a small form: `dvc repro` end to end, a second run that does nothing, pinned numbers."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.places import ROOT
from helpers.projects import git
from helpers.reads import install_recorder, recorded
from ruamel.yaml import YAML

from bike.files import read_json
from bike.params import load_params
from bike.records import read_list, read_manifest
from bike.report.table import END, START

_SPEC = importlib.util.spec_from_file_location("compare_locks", ROOT / ".ci" / "compare_locks.py")
assert _SPEC is not None
assert _SPEC.loader is not None
compare_locks = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(compare_locks)
output_hashes, differences = compare_locks.output_hashes, compare_locks.differences

# Enough for every stage to run, far too little to learn; few shots, so that their seed is read.
SMALL: dict[str, dict[str, Any]] = {
    "demo_data": {"train_per_class": 3, "val_per_class": 1, "test_per_class": 2},
    "extract": {"short_side": 48},
    "annotate": {"shots": 2},
    "pretrain": {"num_images": 48, "steps": 3, "batch_size": 8},
    "pretrain_strong": {"num_images": 48, "steps": 3, "batch_size": 8},
    "train": {"epochs": 1, "batch_size": 14, "warmup_epochs": 0},
    "train_attributes": {"epochs": 2, "batch_size": 14, "warmup_epochs": 0},
    "report": {"clips": 2},
}


TARGETS = ("report",)


def run(folder: Path, *words: str, **variables: str) -> str:
    """Run a Python module in a checkout; the stages' ``python`` is this one."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1", "BIKE_WORKERS": "0"}
    recorder = {"PYTHONPATH": f"{folder / 'recorder/site'}{os.pathsep}{folder}"}
    recorder["BIKE_TEST_READS"] = str(folder / "recorder/reads")
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**env, **recorder, **variables},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the project's files and small parameters."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in (
        "bike",
        "stages",
        "lists",
        ".dvc",
        "dvc.yaml",
        "params.yaml",
        "constraints-results.txt",
        "README.md",
        ".gitignore",
        ".dvcignore",
    ):
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "cache", "tmp", "demo" if name == "lists" else "")
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)
    yaml = YAML()
    params = yaml.load((folder / "params.yaml").read_text(encoding="utf-8"))
    for section, values in SMALL.items():
        params[section].update(values)
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(params, file)
    install_recorder(folder / "recorder")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "start")
    return folder


@pytest.fixture(scope="module")
def reproduced(checkout: Path) -> Path:
    """The checkout after `dvc repro`, for whichever of the tests comes first."""
    assert "Running stage 'pretrain'" in run(checkout, "dvc", "repro", *TARGETS)
    return checkout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_pipeline_runs_from_videos_to_a_table_and_then_does_nothing(reproduced: Path) -> None:
    checkout = reproduced
    records = read_manifest(checkout / "data/demo/frames/manifest.csv")
    rejected = [record for record in records if record.status == "rejected"]
    assert rejected
    assert all(record.error for record in rejected)
    test = read_list(checkout / "lists/demo/test.csv")
    assert not {sample.video for sample in test} & {record.key for record in rejected}

    metrics = read_json(checkout / "results/fuse/4x3/metrics.json")
    assert metrics["videos"] == len(test)
    assert 0 <= metrics["top1"] <= metrics["top5"] <= 100

    second = run(checkout, "dvc", "repro", *TARGETS)
    assert "Running stage" not in second
    assert "up to date" in second


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_lost_folder_of_packs_is_made_again(reproduced: Path) -> None:
    """The packs are no DVC output: a checkout with a manifest from the cache may lack them."""
    checkout = reproduced
    hashes = output_hashes(checkout / "dvc.lock")
    shutil.rmtree(checkout / "data/demo/shards/val")
    for pack in (checkout / "data/demo/frames").glob("*.mjpg"):
        pack.unlink()
    run(checkout, "dvc", "repro", "--force", "--single-item", "shard")
    assert output_hashes(checkout / "dvc.lock") == hashes


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_stage_declares_the_parameters_that_it_reads_and_no_others(reproduced: Path) -> None:
    """Read means: taken from the loaded params.yaml by a stage's process in the runs above, down to each value."""
    checkout = reproduced
    stages = YAML(typ="safe", pure=True).load((checkout / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert git(checkout, "diff", "--name-only") == ""  # files in git are changed by no stage, README.md included

    values = leaves(load_params(checkout / "params.yaml").model_dump())
    reads = recorded(checkout / "recorder")
    assert {name.replace("-", "_") for name in stages} == set(reads)
    for name, stage in stages.items():
        covered = {value for value in values if any(f"{value}.".startswith(f"{entry}.") for entry in stage["params"])}
        read = reads[name.replace("-", "_")]
        assert sorted(read - covered) == [], f"{name}: read, not declared"
        assert sorted(covered - read) == [], f"{name}: declared, not read"


def leaves(tree: dict[str, Any], prefix: str = "") -> set[str]:
    """``train.lr``, ``evaluate.views.4x3.clips`` and all others of a params file."""
    found: set[str] = set()
    for key, value in tree.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key}
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_a_machine_decides_is_not_pinned(reproduced: Path) -> None:
    """Training starts under another launcher without a change for ``dvc status``, and really does."""
    checkout = reproduced
    machine = {"BIKE_LAUNCH": "torchrun --standalone --nproc-per-node 2", "BIKE_WORKERS": "1", "BIKE_JOBS": "1"}
    before = (checkout / "dvc.lock").read_text(encoding="utf-8")
    assert "up to date" in run(checkout, "dvc", "status", *TARGETS, **machine)

    words = ["stages.train_attributes", "lists/demo", "data/demo/attributes.json", "two.pt", "results/two"]
    (checkout / "machine.yaml").write_text("launch: torchrun --standalone --nproc-per-node 2\n", encoding="utf-8")
    assert "up to date" in run(checkout, "dvc", "status", *TARGETS)
    run(checkout, *words, TORCHELASTIC_ERROR_FILE=str(checkout / "error.json"))
    (checkout / "machine.yaml").unlink()
    assert (checkout / "two.pt").is_file()
    assert (checkout / "dvc.lock").read_text(encoding="utf-8") == before
    assert {path.name.split(".")[0] for path in (checkout / "recorder/reads").glob("train_attributes.*")}


def test_dvc_tracks_few_files() -> None:
    """Per-file cost rules everything in DVC: the outputs of all data stages are at most 20 files."""
    lock = ROOT / "dvc.lock"
    stages = YAML(typ="safe", pure=True).load(lock.read_text(encoding="utf-8"))["stages"]
    count = sum(
        out.get("nfiles", 1)
        for name, stage in stages.items()
        if name.split("@")[0] in ("demo-data", "extract", "shard")
        for out in stage["outs"]
    )
    assert 0 < count <= 20


def test_the_readme_holds_the_table_that_dvc_lock_pins() -> None:
    """Works in a fresh clone, without any result: the table's hash is the one of the report stage's output."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.split(START)[1].split(END)[0].strip("\n") + "\n"
    stages = YAML(typ="safe", pure=True).load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    pinned = next(out["md5"] for out in stages["report"]["outs"] if out["path"] == "report/table.md")
    assert hashlib.md5(table.encode(), usedforsecurity=False).hexdigest() == pinned, (
        "run `dvc repro` and `make readme`, and commit both"
    )


def test_models_are_artifacts() -> None:
    pipeline = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    pinned = YAML(typ="safe", pure=True).load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    models = {out["path"] for stage in pinned.values() for out in stage["outs"] if out["path"].startswith("models/")}
    assert {facts["path"] for facts in pipeline["artifacts"].values()} == models


def write_lock(path: Path, hashes: dict[str, str], stage: str = "train@a") -> None:
    outs = [{"path": name, "md5": md5} for name, md5 in hashes.items()]
    with path.open("w", encoding="utf-8") as file:
        YAML().dump({"stages": {stage: {"outs": outs}, "report": {"cmd": "no outputs"}}}, file)


@pytest.mark.parametrize("stage", ["extract", "train"])
def test_the_status_says_whether_an_output_differs(tmp_path: Path, stage: str) -> None:
    write_lock(tmp_path / "a", {"file": "1"}, stage)
    write_lock(tmp_path / "b", {"file": "2"}, stage)
    for new, expected in (("a", 0), ("b", 1)):
        words = [sys.executable, str(ROOT / ".ci/compare_locks.py"), str(tmp_path / "a"), str(tmp_path / new)]
        assert subprocess.run(words, capture_output=True, check=False).returncode == expected


def test_a_changed_output_is_named(tmp_path: Path) -> None:
    write_lock(tmp_path / "a", {"model.pt": "1", "old": "2"})
    write_lock(tmp_path / "b", {"model.pt": "3"})
    assert differences(tmp_path / "a", tmp_path / "a") == []
    assert differences(tmp_path / "a", tmp_path / "b") == [
        "train@a: model.pt: 1 is now 3",
        "train@a: old: 2 is now absent",
    ]


def test_a_zip_download_is_told_what_to_do(tmp_path: Path) -> None:
    """Before anything is installed: `make demo` in a folder without git ends with one line."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = subprocess.run(("make", "demo"), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "no git repository with a commit" in done.stdout
    assert "git init && git add . && git commit -m Start" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]
