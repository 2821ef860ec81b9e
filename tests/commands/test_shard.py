"""``bike shard`` as people type it."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.shards import Data, contents, make_data
from typer.testing import CliRunner, Result

from bike.cli import build_app
from bike.commands.shard import read_size_mb
from bike.errors import BikeError, ParamsError
from bike.formats.shards import read_shard_manifest
from bike.records import write_labels
from bike.shard.run import write_shards


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return make_data(tmp_path_factory.mktemp("data"), [4] * 10)


def run(*words: object) -> Result:
    return CliRunner().invoke(build_app(), ["shard", *map(str, words)])


def error_of(*words: object) -> str:
    result = run(*words)
    assert isinstance(result.exception, BikeError), result.output
    return str(result.exception)


def test_a_list_becomes_the_shards_of_the_library(data: Data, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--max-size", "30kB", "--frames-per-video", 2, "--jobs", 1)
    result = run(data.list, out, "--frames", data.frames, *options)
    assert result.exit_code == 0, result.output
    write_shards(data.list, data.frames, tmp_path / "same", max_size_mb=0.03, frames_per_video=2, jobs=1)
    assert contents(out) == contents(tmp_path / "same")
    count = len(list(out.glob("*.tar")))
    assert f"{count} shards ({count} written), 10 videos, 10 samples" in result.stdout
    assert f"{count} shards (0 written)" in run(data.list, out, "--frames", data.frames, *options).stdout


def test_a_manifest_needs_no_frames_folder(data: Data, tmp_path: Path) -> None:
    assert run(data.frames / "manifest.csv", tmp_path / "out", "--jobs", 1).exit_code == 0
    assert read_shard_manifest(tmp_path / "out")["videos"] == 10


def test_class_names_can_be_given(data: Data, tmp_path: Path) -> None:
    write_labels(tmp_path / "names.csv", ["a", "b", "c"])
    options = ("--frames", data.frames, "--jobs", 1)
    run(data.list, tmp_path / "own", *options)
    run(data.list, tmp_path / "other", *options, "--labels", tmp_path / "names.csv")
    own, other = ((tmp_path / name / "00000.tar").read_bytes() for name in ("own", "other"))
    assert b'"name":"class 1"' in own
    assert b'"name":"b"' in other


def test_verify_says_what_it_read_or_what_is_wrong(data: Data, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(data.list, out, "--frames", data.frames, "--jobs", 1)
    result = run(out, "--verify")
    assert result.exit_code == 0
    assert "1 shards, 10 videos" in result.stdout
    assert "all right" in result.stdout
    path = out / "00000.tar"
    path.write_bytes(path.read_bytes()[:-1024] + b"x" * 1024)
    assert "1 findings" in error_of(out, "--verify")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["LIST"], "OUT: missing"),
        (["LIST", "OUT"], "--frames: missing"),
        (["LIST", "OUT", "--frames", "FRAMES", "--max-size", "big"], "--max-size: not a size (got 'big')"),
        (["LIST", "OUT", "--frames", "FRAMES", "--max-size", "0"], "--max-size: not a size"),
        (["LIST", "OUT", "--frames", "FRAMES", "--frames-per-video", "0"], "--frames-per-video: not a count"),
        (["LIST", "OUT", "--frames", "FRAMES", "--payload", "mp4"], "Give --media"),
        (["nowhere.csv", "OUT", "--frames", "FRAMES"], "nowhere.csv: no such file"),
        (["LIST", "OUT", "--frames", "nowhere"], "nowhere: no such folder"),
        (["nowhere", "--verify"], "nowhere: no such folder"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes_are_one_line(data: Data, tmp_path: Path, words: list[str], text: str) -> None:
    places = {"LIST": data.list, "OUT": tmp_path / "out", "FRAMES": data.frames}
    message = error_of(*(places.get(word, word) for word in words))
    assert text in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "size"), [("512MB", 512), ("2GB", 2000), ("800kb", 0.8), ("1.5 gb", 1500), ("100", 100), ("1TB", 1e6)]
)
def test_sizes(text: str, size: float) -> None:
    assert read_size_mb(text) == pytest.approx(size)


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "nan", "inf", "1e400", "5 apples", "0MB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ParamsError):
        read_size_mb(text)
