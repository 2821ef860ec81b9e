"""``bike shards``: what a folder of shards holds, in numbers and in pictures."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import run_bike
from helpers.shards import make_data, picture
from PIL import Image
from typer.testing import CliRunner

from bike.commands.shards import app
from bike.doctor.shards import shards_info, write_preview
from bike.errors import BikeError, ParamsError
from bike.shard.run import write_shards


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five videos of 4 to 12 frames, classes 0, 1, 2, 0, 1."""
    root = tmp_path_factory.mktemp("shards")
    data = make_data(root, [4, 6, 8, 10, 12])
    write_shards(data.list, data.frames, root / "shards", names=["walk", "<b>run", "jump", "rest"])
    return root / "shards"


def test_info_counts_what_is_there(shards: Path) -> None:
    info = shards_info(shards)
    assert (info.videos, info.samples, info.frames, info.seconds, info.no_rate) == (5, 5, 40, 40 / 8, 0)
    assert info.sizes == {(32, 24): 5}
    assert info.classes == {"walk": 2, "<b>run": 2, "jump": 1, "rest": 0}
    assert info.bytes == sum(path.stat().st_size for path in shards.glob("*.tar"))


def test_info_as_a_command(shards: Path) -> None:
    found = json.loads(run_bike("shards", "info", str(shards), "--json").stdout)
    assert (found["videos"], found["sizes"]) == (5, {"32x24": 5})
    text = run_bike("shards", "info", str(shards)).stdout
    assert "40, 8.0 a video" in text
    assert "4, from 0 (rest) to 2 (<b>run) samples" in text


def test_a_preview_shows_frames_of_every_class_before_a_second_of_one(shards: Path, tmp_path: Path) -> None:
    assert write_preview(shards, tmp_path / "page.html", videos=3, frames=4) == 3
    page = (tmp_path / "page.html").read_text()
    assert [re.sub(r"</?h2>", "", line) for line in re.findall("<h2>.*</h2>", page)] == ["walk", "&lt;b&gt;run", "jump"]
    images = [base64.b64decode(data) for data in re.findall(r"base64,([^\"]+)", page)]
    assert len(images) == 3 * 4
    # The third row: video 2 has 8 frames, of which 0, 2, 4 and 6 are shown.
    last = np.asarray(Image.open(io.BytesIO(images[-1])))
    assert abs(int(last[..., 1].mean()) - int(picture(2, 6)[..., 1].mean())) <= 3
    assert not re.search(r"(src|href)=.(?!data:)", page)  # asks for nothing outside itself


def test_shards_of_some_frames_say_of_how_many(tmp_path: Path) -> None:
    data = make_data(tmp_path, [4, 12])
    write_shards(data.list, data.frames, tmp_path / "out", frames_per_video=4, jobs=1)
    info = shards_info(tmp_path / "out")
    assert (info.frames, info.frames_in_all, info.seconds) == (8, 16, 16 / 8)
    assert "8, 4.0 a video, of 16 that the videos have" in run_bike("shards", "info", str(tmp_path / "out")).stdout
    write_preview(tmp_path / "out", tmp_path / "page.html", frames=8)
    facts = re.findall(r"(?:\d+ of )?\d+ frames, 32 × 24 px, 8 a second", (tmp_path / "page.html").read_text())
    assert [text.partition(" frames")[0] for text in facts] == ["4", "4 of 12"]
    images = re.findall(r"base64,([^\"]+)", (tmp_path / "page.html").read_text())
    last = np.asarray(Image.open(io.BytesIO(base64.b64decode(images[-1]))))
    assert abs(int(last[..., 1].mean()) - int(picture(1, 9)[..., 1].mean())) <= 3


def test_a_preview_replaces_nothing_unasked(shards: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    out.write_text("mine")
    with pytest.raises(BikeError, match="--replace"):
        write_preview(shards, out)
    assert out.read_text() == "mine"


def test_a_folder_that_is_none_of_shards_is_one_line(tmp_path: Path) -> None:
    result = run_bike("shards", "info", str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "no manifest.json" in result.stderr


def test_labels_beyond_the_names_are_numbers(shards: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(shards, tmp_path / "shards")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "names": ["only one"]}))
    assert shards_info(folder).classes == {"only one": 2, "1": 2, "2": 1}
    assert write_preview(folder, tmp_path / "page.html") == 5


@pytest.mark.parametrize("words", [("info", "s3://bucket/shards"), ("preview", "https://host/shards", "page.html")])
def test_an_address_is_said_to_be_no_folder(words: tuple[str, ...]) -> None:
    with pytest.raises(ParamsError, match=rf"{words[1]}: shards are looked at in a folder\. Copy them"):
        CliRunner().invoke(app, list(words), catch_exceptions=False)
