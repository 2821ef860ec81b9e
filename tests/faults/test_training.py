"""What can go wrong around a training: one line, the right exit status, and nothing of anyone's lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.commands import run_bike
from helpers.fit_data import DataSet, make_data, write_params
from helpers.places import ROOT
from helpers.scores import fake_scores

from bike.attributes.corpus import write_corpus
from bike.attributes.run import make_attributes
from bike.errors import BikeError
from bike.evaluate.results import write_results
from bike.evaluate.run_fuse import fuse_results
from bike.files.disk import FAULT
from bike.params import load_params
from bike.records import read_list
from bike.runtime.checkpoint import Place, load_state
from bike.train.run_attributes import train_attributes
from bike.train.run_video import train_video

ALL = os.environ.get("BIKE_FAULTS") == "all"  # `make faults`
PLACE = Place(device="cpu", workers=0)


@pytest.fixture
def data(tmp_path: Path) -> DataSet:
    data = make_data(tmp_path / "data", per_class=2, val_per_class=1)
    write_params(data, {"train": {"epochs": 1, "batch_size": 6}})
    return data


def train(data: DataSet, out: Path, **options: Any) -> None:
    chosen = {"train_list": data.train, "train_frames": data.frames, "labels": data.labels, "place": PLACE, **options}
    train_video(load_params(data.params), out=out, **chosen)


def test_an_encoder_that_can_not_be_compiled_here_is_one_line(data: DataSet) -> None:
    write_params(data, {"train": {"compile": True, "epochs": 1, "batch_size": 6}})
    words = "--train train.csv --shards frames --labels labels.csv --out model.pt --device cpu --workers 0"
    # An empty cache, since what was compiled before would do.
    variables = {"CXX": "/nowhere/g++", "TORCHINDUCTOR_CACHE_DIR": str(data.root / "cache")}
    done = run_bike("train", *words.split(), cwd=data.root, PYTHONPATH=str(ROOT), **variables)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("Error: train.compile: the encoder can't be compiled here (InvalidCxxCompiler")
    assert done.stderr.count("\n") == 1
    assert not (data.root / "model.pt").exists()


@pytest.mark.timeout(0 if ALL else 300)  # a training for each change
def test_a_full_disk_costs_nothing(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    out, state, count = data.root / "model.pt", data.root / ".model.pt.state/state.pt", data.root / "count"

    def changes(fault: str) -> int:
        count.unlink(missing_ok=True)
        monkeypatch.setenv(FAULT, f"{fault}:{count}")
        train(data, out, replace=True)
        return count.stat().st_size

    total = changes("0:ENOSPC")
    whole, earlier = out.read_bytes(), b"an earlier checkpoint"
    # Of the last save: a write in the middle, one at the end, and the new name. The last three changes tidy up.
    for number in range(1, total - 2) if ALL else (total - 8, total - 6, total - 4):
        out.write_bytes(earlier)
        with pytest.raises(BikeError, match=r"[^\n]*No space left"):
            changes(f"{number}:ENOSPC")
        assert out.read_bytes() == (earlier if number <= total - 4 else whole)
        assert (load_state(state) or {"epoch": 1})["epoch"] == 1
        assert not list(data.root.glob(".bike-*.part"))
        changes("0:ENOSPC")
        assert out.read_bytes() == whole
        assert not state.parent.exists()


def test_folders_of_state_and_curves_keep_what_others_put_there(data: DataSet) -> None:
    work, curves, out = data.root / "work", data.root / "curves", data.root / "work/model.pt"
    place = replace(PLACE, state_dir=work, live_dir=curves)
    for folder in (work, curves):
        (folder / "more").mkdir(parents=True)
        for name in ("notes.txt", "other.pt", "more/state.pt"):
            (folder / name).write_text(name)
    before = files_below(work) | files_below(curves)
    for _ in range(2):
        train(data, out, place=place, replace=True)
        after = files_below(work) | files_below(curves)
        assert {path: after.get(path) for path in before} == before
    assert out.stat().st_size > 2**20
    assert "metrics.json" in {path.name for path in curves.iterdir()}
    shutil.rmtree(curves)
    for name in ("metrics.json", "dvc.yaml", "plots/x.tsv"):
        theirs = curves / name
        theirs.parent.mkdir(parents=True)
        theirs.write_text("theirs")
        with pytest.raises(BikeError, match="no record of having written it"):
            train(data, data.root / "model.pt", place=place)
        assert theirs.read_text() == "theirs"
        shutil.rmtree(curves)
    with pytest.raises(BikeError, match="is the name of the saved state"):
        train(data, work / "state.pt", place=place)


def files_below(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def by_video(data: DataSet, out: Path) -> None:
    train(data, out, val_list=data.val, val_frames=data.frames, replace=True)


def by_attributes(data: DataSet, out: Path) -> None:
    options: dict[str, Any] = {"train_list": data.train, "val_list": data.val, "labels": data.labels, "place": PLACE}
    corpus = data.root / "corpus.json"
    train_attributes(load_params(data.params), corpus=corpus, out=out, replace=True, **options)


def by_corpus(data: DataSet, out: Path) -> None:
    lists, lexicon = [(data.train, data.frames), (data.val, data.frames)], data.root / "lexicon.txt"
    make_attributes(load_params(data.params), lexicon=lexicon, lists=lists, out=out, place=PLACE, replace=True)


def by_fusion(data: DataSet, out: Path) -> None:
    fuse_results(data.root / "video", data.root / "attributes/scores.safetensors", out, replace=True)


@pytest.mark.parametrize(
    ("run", "names"),
    [
        (by_video, ["train.csv", "val.csv", "labels.csv", "clip.safetensors"]),
        (by_attributes, ["train.csv", "val.csv", "labels.csv", "clip.safetensors", "corpus.json"]),
        (by_corpus, ["train.csv", "val.csv", "lexicon.txt", "clip.safetensors"]),
        (by_fusion, ["video", "attributes"]),
    ],
)
def test_an_output_that_is_an_input_is_refused(
    data: DataSet, run: Callable[[DataSet, Path], None], names: list[str]
) -> None:
    samples = [sample for path in (data.train, data.val) for sample in read_list(path)]
    write_corpus(data.root / "corpus.json", {sample.key: list("abcde") for sample in samples})
    (data.root / "lexicon.txt").write_text("red\ngreen\nblue\nsquare\nnoise\n")
    for name in ("video", "attributes"):
        write_results(data.root / name, fake_scores(["a", "b", "c", "d"], 0))
    before = files_below(data.root)
    link = data.root / "link"
    for name in names:
        link.symlink_to(data.root / name)
        for out in (data.root / name, link):
            with pytest.raises(BikeError, match=f"{out.name}.*: is read here, and would be replaced"):
                run(data, out)
        link.unlink()
        assert files_below(data.root) == before


def test_a_state_in_a_folder_below_is_another_runs(data: DataSet) -> None:
    """``--state runs`` beside ``--state runs/1``: neither its removal nor `--replace` is for the other."""
    other, out = data.root / "runs/1/state.pt", data.root / "model.pt"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"hours of work")
    train(data, out, place=replace(PLACE, state_dir=data.root / "runs"))
    assert other.read_bytes() == b"hours of work"
    with pytest.raises(BikeError, match="Give --replace"):
        train(data, out, place=replace(PLACE, state_dir=data.root / "runs"))
