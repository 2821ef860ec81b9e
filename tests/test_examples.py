"""Examples of the documents, run: the way from a folder of videos to a number, and the Python of docs/api.md."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from helpers.fit import tiny_encoder
from helpers.places import ROOT
from helpers.shards import make_data
from helpers.videos import make_video

from bike.cli import build_app, guarded
from bike.model.weights import save_safetensors
from bike.shard.run import write_shards

# So that it takes seconds: a tiny CLIP in the place of the official one, and batches that a few videos fill.
SMALLER = {"ViT-B/32": "tiny.safetensors", "batch_size: 32": "batch_size: 2", "epochs: 20": "epochs: 6"}


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def steps(page: str) -> list[list[str]]:
    """The ``bike`` commands of a page that depend on nothing but the ones before, without other ways to the same."""
    text = "".join(blocks(page, "sh")).replace("\\\n", " ")
    lines = [line for line in text.splitlines() if not re.search(r"bike (init|weights fetch) |# or from", line)]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("bike ")]


def status_of(words: list[str]) -> int:
    try:
        return guarded(lambda: build_app()(words, standalone_mode=True))
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.slow
def test_own_videos_from_a_folder_to_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"BIKE_WORKERS": "0", "BIKE_JOBS": "1", "BIKE_DEVICE": "cpu"}.items():
        monkeypatch.setenv(name, value)
    save_safetensors(tmp_path / "tiny.safetensors", tiny_encoder())
    for number, place in enumerate(("train/a", "train/b", "val/a", "val/b", "test/a", "test/b")):
        make_video(tmp_path / f"my_videos/{place}/{number}.mp4", 8 + number)
    make_video(tmp_path / "new.mp4", 9)

    def smaller(text: str) -> str:
        for long, short in SMALLER.items():
            text = text.replace(long, short)
        return text

    (settings,) = blocks("own_data.md", "yaml")
    assert all(long in settings for long in SMALLER)
    (tmp_path / "my_params.yaml").write_text(smaller(settings), encoding="utf-8")
    commands = steps("own_data.md")
    assert {words[0] for words in commands} == {
        *("doctor", "extract", "annotate", "shard", "zeroshot", "train", "eval", "report", "predict")
    }
    for words in commands:
        assert status_of([smaller(word) for word in words]) == 0, words
    metrics = json.loads((tmp_path / "work/results/video-transf-vcs/4x3/metrics.json").read_bytes())
    assert metrics["videos"] == 2
    assert "| transf + vcs | 4×3 |" in (tmp_path / "work/report/table.md").read_text(encoding="utf-8")


def test_the_python_of_the_api_page(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "tiny.safetensors", tiny_encoder())
    (block,) = blocks("api.md", "python")
    names: dict[str, Any] = {}
    exec(block.replace("models/demo-clip.safetensors", str(tmp_path / "tiny.safetensors")), names)  # noqa: S102
    assert [tuple(names[name].shape)[:-1] for name in ("classes", "tokens")] == [(2,), (2, 77)]


def test_the_batches_of_the_page_on_shards(tmp_path: Path) -> None:
    data = make_data(tmp_path, [9, 8])
    write_shards(data.list, data.frames, tmp_path / "shards", jobs=1)
    (block,) = [block for block in blocks("shards.md", "python") if "training_batches(" in block]
    places = {"lists/ucf101/train.csv": str(data.list), "shards/ucf101/train": str(tmp_path / "shards")}
    for long, short in {**places, "=256": "=2", "world_size=8": "world_size=1", "range(30)": "range(1)"}.items():
        assert long in block
        block = block.replace(long, short)
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102
    assert names["batch"].frames.shape == (2, 1, 8, 3, 224, 224)
