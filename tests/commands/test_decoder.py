"""``--decoder`` of every command that can decode videos on the fly."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.shards import Data, make_data
from helpers.videos import make_video
from typer.testing import CliRunner

from bike.cli import build_app
from bike.errors import BikeError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    data = make_data(tmp_path_factory.mktemp("data"), [2, 2])
    make_video(data.frames / "clips/v000.mp4", 2)
    (data.frames / "words.txt").write_text("\n".join("abcdefgh"))
    return data


COMMANDS = {
    "predict": "{video} --checkpoint {absent} --classes a,b",
    "eval": "{absent} --list {list} --shards {frames} --out {absent}",
    "zeroshot": "--list {list} --shards {frames} --out {absent}",
    "attributes": "{words} {absent} --list {list} --shards {frames}",
    "train": "--train {list} --shards {frames} --out {absent}",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_decoder_that_can_not_be_used_is_one_line(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("bike.video.decode.has_module", lambda module: False)
    monkeypatch.chdir(tmp_path)
    places = {
        "video": data.frames / "clips/v000.mp4",
        "absent": tmp_path / "absent",
        "list": data.list,
        "frames": data.frames,
        "words": data.frames / "words.txt",
    }
    words = [word.format(**places) for word in COMMANDS[name].split()]
    done = CliRunner().invoke(build_app(), [name, *words, "--decoder", "decord"])
    assert isinstance(done.exception, BikeError), done.output
    assert str(done.exception).startswith("decoder")
    assert "not installed" in str(done.exception)
    assert "\n" not in str(done.exception)
    unknown = CliRunner().invoke(build_app(), [name, *words, "--decoder", "vlc"])
    assert unknown.exit_code == 2
    assert not list(tmp_path.iterdir())
