"""What every stage shares: a file that a parameter names is a dep of the stage, or refused."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.annotations import manifest, ucf_replica
from helpers.fit import tiny_encoder
from helpers.fit_data import make_data
from helpers.places import ROOT
from helpers.videos import make_video
from ruamel.yaml import YAML

import stages.annotate
import stages.shard
from bike.errors import ParamsError
from bike.extract.run import extract_videos
from bike.formats.shards import read_shard_manifest
from bike.model.weights import save_safetensors
from bike.params import Extract
from stages import check_is_dep, named, several


def write_yaml(path: Path, tree: dict[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(tree, file)


def real_stage(name: str) -> dict[str, Any]:
    tree = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    stage: dict[str, Any] = tree["stages"][name]
    return stage


def test_a_place_has_names_that_are_put_in() -> None:
    assert named(Path("m/{heads}/{views}"), heads="none-dp", views="4x3") == Path("m/none-dp/4x3")
    with pytest.raises(ParamsError, match=r"m/\{head\}: \{head\} is no name that is put in here; heads is"):
        named(Path("m/{head}"), heads="none-dp")


def test_a_section_that_is_none_is_one_line(tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "stages.pretrain",
        str(tmp_path / "m"),
        str(tmp_path / "c"),
        "--sections",
        "pretrian",
    ]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "--sections: 'pretrian' is no section of a CLIP" in done.stderr


def test_several_views_need_a_place_for_each() -> None:
    assert several("1x1  4x3", "{views}", Path("out/{views}")) == ["1x1", "4x3"]
    assert several("1x1", "{views}", Path("out")) == ["1x1"]
    with pytest.raises(ParamsError, match=r"out: no \{views\} in it, and 2 would be written there"):
        several("1x1 4x3", "{views}", Path("out"))


def test_a_file_that_a_parameter_names_is_a_dep_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_yaml(tmp_path / "dvc.yaml", {"stages": {"train": {"deps": ["${model.weights}", "models/a.pt", "given"]}}})
    for stage in ("train", "train@none-dp", "dvc.yaml:train@none-dp"):
        monkeypatch.setenv("DVC_STAGE", stage)
        for fine in (None, "", "models/a.pt", "./models/a.pt", str(tmp_path / "models/a.pt"), "given/any/b.pt"):
            check_is_dep("model.start_from", fine)
        for bad in ("models/b.pt", "models/a.pt.old", "given-too/b.pt"):
            with pytest.raises(ParamsError, match=r"^model\.start_from: .*, which is not under deps of stage train\."):
                check_is_dep("model.start_from", bad)
    with pytest.raises(ParamsError, match="not under deps"):
        check_is_dep("attributes.weights", "ViT-B/16")
    check_is_dep("attributes.weights", "ViT-B/16", official=["ViT-B/16"])
    write_yaml(tmp_path / "params.yaml", {"model": {"weights": str(tmp_path / "clip.pt")}})
    write_yaml(tmp_path / "dvc.yaml", {"stages": {"train": {"deps": ["${model.weights}"]}}})
    check_is_dep("model.weights", str(tmp_path / "clip.pt"))  # an absolute path on both sides
    write_yaml(tmp_path / "params.yaml", {"model": {"weights": "models/clip.pt"}})
    deps = ["${model.weights}", "${ demo }/b.pt", "${item.split}.pt", "${model.absent}"]
    write_yaml(tmp_path / "dvc.yaml", {"vars": ["other.yaml", {"demo": "data"}], "stages": {"train": {"deps": deps}}})
    for fine in ("models/clip.pt", "data/b.pt"):
        check_is_dep("model.start_from", fine)
    with pytest.raises(ParamsError, match="not under deps"):
        check_is_dep("model.start_from", "models/other.pt")
    monkeypatch.delenv("DVC_STAGE")  # by hand: nothing is pinned
    check_is_dep("model.start_from", "models/b.pt")


@pytest.mark.parametrize(("name", "key"), [("attributes", "attributes.weights"), ("train", "model.start_from")])
def test_a_key_that_may_name_a_file_is_declared_and_checked(name: str, key: str) -> None:
    assert {key, key.partition(".")[0]} & set(real_stage(name)["params"])
    assert f'check_is_dep("{key}"' in (ROOT / "stages" / f"{name}.py").read_text(encoding="utf-8")


def test_stage_shard_extracts_packs_of_another_extraction_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC brings back the manifest alone; the packs are those of the last extraction."""
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        make_video(Path("videos", f"{name}.mp4"), 3)
    extract_videos("videos", "frames", options=Extract(short_side=32), jobs=1)
    manifest = Path("frames/manifest.csv")
    pinned = manifest.read_bytes()
    extract_videos("videos", "frames", options=Extract(short_side=24), jobs=1, replace=True)
    assert manifest.read_bytes() != pinned
    manifest.write_bytes(pinned)
    write_yaml(Path("params.yaml"), {"extract": {"short_side": 32}, "shard": {"max_size_mb": 100}})
    monkeypatch.setenv("BIKE_JOBS", "1")
    words = ["shard", "frames/manifest.csv", "frames", "shards", "--videos", "videos"]
    monkeypatch.setattr(sys, "argv", words)
    stages.shard.main()
    assert manifest.read_bytes() == pinned
    assert read_shard_manifest(Path("shards"))["videos"] == 2
    shutil.rmtree("videos")  # nothing is missing any more
    stages.shard.main()


def test_stage_annotate_says_its_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = ucf_replica(Path("ucf"))["split1/train"]
    manifest(Path("manifest.csv"), paths[:5])
    write_yaml(Path("params.yaml"), {"annotate": {}})
    words = ["annotate", "ucf", "manifest.csv", "lists", "--reader", "ucf101", "--fold", "1"]
    monkeypatch.setattr(sys, "argv", words)
    with caplog.at_level("INFO", logger="bike"):
        stages.annotate.main()
    assert caplog.messages == ["ucf101: 18 annotated, 5 videos, 3 classes; train 5; 13 missing dropped"]


@pytest.mark.slow
def test_dvc_sees_other_weights_of_the_attributes_and_other_contents_of_them(tmp_path: Path) -> None:
    """The real stage with its real params in a small repository: what made the corpus is what the parameters say."""
    data = make_data(tmp_path / "data", sections={"attributes": {"top_k": 6, "frames": 2}}, text_scale=30.0)
    save_safetensors(tmp_path / "other.safetensors", tiny_encoder(1, text_scale=30.0))
    (tmp_path / "lists").mkdir()
    for file in (data.train, data.labels):
        (tmp_path / "lists" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "lexicon.txt").write_text("red\ngreen\nblue\na dog\nnoise\nsquare\n")
    params = YAML(typ="safe", pure=True).load(data.params.read_text(encoding="utf-8"))
    params["model"]["short_side"] = params["attributes"]["weights"] = None
    params["model"]["allow_mismatch"] = []
    params["numerics"] = "fast"  # what DVC is to watch must be stated
    write_yaml(tmp_path / "params.yaml", params)
    stage = {
        "cmd": "python -m stages.attributes lexicon.txt lists data/frames corpus.json",
        "deps": ["${model.weights}", "lexicon.txt", "lists", "data/frames"],
        "params": real_stage("attributes")["params"],
        "outs": ["corpus.json"],
    }
    write_yaml(tmp_path / "dvc.yaml", {"stages": {"attributes": stage}})

    def dvc(*words: str) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1", "BIKE_WORKERS": "0"}
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *words], cwd=tmp_path, capture_output=True, text=True, env=env, check=False
        )
        return done.stdout + done.stderr

    dvc("init", "--no-scm", "--quiet")
    assert "Running stage 'attributes'" in dvc("repro")
    assert "up to date" in dvc("status")
    first = (tmp_path / "corpus.json").read_bytes()

    params["attributes"]["weights"] = "other.safetensors"
    write_yaml(tmp_path / "params.yaml", params)
    assert re.search(r"attributes\.weights: DVC would not notice a change of other\.safetensors", dvc("repro"))
    assert not (tmp_path / "corpus.json").exists()  # the old one does not stand for it

    stage["deps"].append("other.safetensors")  # type: ignore[attr-defined]
    write_yaml(tmp_path / "dvc.yaml", {"stages": {"attributes": stage}})
    assert "Running stage 'attributes'" in dvc("repro")
    assert "up to date" in dvc("status")
    second = (tmp_path / "corpus.json").read_bytes()
    assert second != first

    save_safetensors(tmp_path / "other.safetensors", tiny_encoder(2, text_scale=30.0))
    assert re.search(r"modified:\s+other\.safetensors", dvc("status"))
    assert "Running stage 'attributes'" in dvc("repro")
    assert (tmp_path / "corpus.json").read_bytes() not in (first, second)


@pytest.mark.parametrize(
    ("launch", "message"),
    [
        # env sets no RANK: the stage must not be started again and again.
        (f"env {sys.executable}", "no such file"),
        ("torchrun --standalone --nproc-per-node 2", "no such file"),
        ("torchrun '", "Correct BIKE_LAUNCH."),
        ("no-such-launcher", "can't be started"),
    ],
)
def test_a_launcher_starts_the_stage_once_or_is_refused(tmp_path: Path, launch: str, message: str) -> None:
    (tmp_path / "params.yaml").write_text("", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "stages.train_attributes", "lists", "corpus.json", "out.pt", "curves"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "BIKE_LAUNCH": launch},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux tells a process of its parent's death")
@pytest.mark.parametrize("start", ["run", "run_launched"])
def test_the_stage_of_a_killed_dvc_ends_with_it(start: str) -> None:
    """What the stage holds open ends before its ten minutes do; without DVC it goes on."""
    stage = f"import time\nfrom stages import {start}\n{start}(lambda: (print('up', flush=True), time.sleep(600)))"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {stage!r}])"
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "DVC_STAGE": "train"}
    with subprocess.Popen([sys.executable, "-c", parent], env=variables, stdout=subprocess.PIPE, text=True) as dvc:
        assert dvc.stdout is not None
        assert dvc.stdout.readline() == "up\n"
        dvc.kill()
        assert dvc.stdout.read() == ""  # its end comes when the stage is gone
