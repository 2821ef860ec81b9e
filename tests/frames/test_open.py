"""Places and their sources: each kind is found, and all give the same frames and the same errors."""

from __future__ import annotations

import os
import pickle
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from helpers.servers import Server
from helpers.shards import HEIGHT, WIDTH, Data, frame_numbers, jpegs_of, make_data, write_folder
from PIL import Image
from typer.testing import CliRunner

from bike.cli import build_app
from bike.errors import BikeError, DataError
from bike.frames.open import FolderSource, PackSource, RemoteShardSource, ShardSource, VideoSource, open_source
from bike.records import Sample, write_labels, write_list
from bike.shard.run import write_shards
from bike.video.walk import LEADS_OUT


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return make_data(tmp_path_factory.mktemp("data"), [5, 9, 2])


@pytest.fixture(scope="module")
def places(data: Data, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One data set as shards, packs and published-style folders."""
    root = tmp_path_factory.mktemp("places")
    write_shards(data.list, data.frames, root / "shards", max_size_mb=0.02, jobs=1)
    for sample in data.samples:
        write_folder(root / "folders" / sample.path, jpegs_of(data.frames / f"{sample.video}.mjpg"), "image_{:06d}.jpg")
    return {"shards": root / "shards", "packs": data.frames, "folders": root / "folders"}


KINDS = {"shards": ShardSource, "packs": PackSource, "folders": FolderSource}


@pytest.mark.parametrize("kind", KINDS)
def test_sources_agree(data: Data, places: dict[str, Path], kind: str) -> None:
    source = open_source(places[kind], data.samples)
    assert type(source) is KINDS[kind]
    reference = PackSource(places["packs"])
    for one in (source, pickle.loads(pickle.dumps(source))):
        for sample in data.samples:
            assert one.num_frames(sample.video) == sample.frames
            assert one.fps(sample.video) == (0.0 if kind == "folders" else 8.0)
            for indices in ([0], [sample.frames - 1, 0, 0], range(sample.frames)):
                frames = one.read(sample.video, indices)
                assert frames.dtype == np.uint8
                assert frame_numbers(frames) == list(indices)
                assert np.array_equal(frames, reference.read(sample.video, indices))


def test_folders_of_keys_and_addresses_are_found(
    data: Data, places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = data.samples[0]
    shutil.copytree(places["folders"] / sample.path, tmp_path / sample.video)  # as `bike extract --layout folders` does
    assert type(open_source(tmp_path, data.samples)) is FolderSource
    monkeypatch.setenv("BIKE_SHARD_CACHE", str(tmp_path / "cache"))
    server = Server(places["shards"])
    for address in (server.url, Path(server.url)):
        assert type(open_source(address, data.samples)) is RemoteShardSource
    server.close()


def test_folders_and_tars_of_videos_are_found(tmp_path: Path) -> None:
    sample = Sample("a", "a", "some class/a.mp4", (0,), 1)
    (tmp_path / "some class").mkdir()
    (tmp_path / "some class/a.mp4").write_bytes(b"not looked into")
    with tarfile.open(tmp_path / "videos.tar", "w") as tar:
        tar.add(tmp_path / "some class/a.mp4", sample.path)
    for place in (tmp_path, tmp_path / "videos.tar", tmp_path / "some class/a.mp4"):
        assert type(open_source(place, [sample])) is VideoSource


def test_shards_come_before_what_they_were_made_of(data: Data, tmp_path: Path) -> None:
    """A folder with packs and shards is a folder of shards."""
    own = make_data(tmp_path, [3, 4])
    assert type(open_source(own.frames, own.samples)) is PackSource
    write_shards(own.list, own.frames, tmp_path / "shards", jobs=1)
    shutil.copytree(tmp_path / "shards", own.frames, dirs_exist_ok=True)
    assert type(open_source(own.frames, own.samples)) is ShardSource


def test_open_source_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no shards, frame packs, frame folders or videos"):
        open_source(tmp_path, [Sample("a", "a", "a", (0,), 1)])
    with pytest.raises(BikeError, match="no such folder"):
        open_source(tmp_path / "nowhere", [])
    (tmp_path / "00000.tar").write_bytes(b"")
    with pytest.raises(DataError, match="not finished"):
        open_source(tmp_path, [])


@pytest.mark.parametrize(
    ("name", "text"), [("vlc", "unknown (got 'vlc'); pyav or decord"), ("decord", "not installed")]
)
def test_a_decoder_that_is_not_there_is_one_line(
    data: Data, places: dict[str, Path], monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setattr("bike.video.decode.has_module", lambda module: False)
    with pytest.raises(BikeError, match="decoder") as raised:
        open_source(places["shards"], data.samples, decoder=name)
    assert text in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", KINDS)
def test_frames_past_the_end_and_unknown_videos_are_named(data: Data, places: dict[str, Path], kind: str) -> None:
    source = open_source(places[kind], data.samples)
    for indices in ([9], [0, 100], [-1], [3, -2]):
        with pytest.raises(DataError, match="no frame"):
            source.read(data.samples[1].video, indices)
    for ask in (source.num_frames, lambda video: source.read(video, [0])):
        with pytest.raises(DataError, match="nobody"):
            ask("nobody")


@pytest.mark.parametrize("kind", KINDS)
def test_luma_is_what_gray_frames_hold(data: Data, places: dict[str, Path], kind: str) -> None:
    source = open_source(places[kind], data.samples)
    video = data.samples[0].video
    luma = source.read(video, [3, 0, 3], gray=True)
    assert luma.shape == (3, HEIGHT, WIDTH, 1)
    colours = source.read(video, [3, 0, 3])
    expected = np.stack([np.asarray(Image.fromarray(frame).convert("L")) for frame in colours])
    assert np.abs(luma[..., 0].astype(int) - expected).max() <= 2


def write_linked(root: Path, content: bytes = b"not looked into") -> tuple[Path, Path, list[Sample]]:
    """A folder of videos and one of frame folders, in each some that are links out of it; and rows for all."""
    paths = ["a/own.mp4", "a/link.mp4", "farm/x.mp4"]
    for folder, suffix in (("videos", ""), ("frames", "/img_00001.jpg")):
        for path in ("a/own.mp4", "elsewhere/x.mp4"):
            place = root / (folder if path == "a/own.mp4" else f"of {folder}") / f"{path}{suffix}"
            place.parent.mkdir(parents=True)
            place.write_bytes(content)
        (root / folder / "a/link.mp4").symlink_to(root / f"of {folder}/elsewhere/x.mp4")
        (root / folder / "farm").symlink_to(root / f"of {folder}/elsewhere")
    return root / "videos", root / "frames", [Sample(f"v{i}", f"v{i}", path, (0,), 1) for i, path in enumerate(paths)]


def test_links_out_of_a_folder_are_followed_when_asked(tmp_path: Path) -> None:
    """As by extraction and annotation."""
    videos, frames, samples = write_linked(tmp_path)
    for place, first in ((videos, r"2 of the list's videos, each"), (frames, r"frames/a/link\.mp4:")):
        with pytest.raises(DataError, match=rf"{first} {LEADS_OUT}"):
            open_source(place, samples)
        assert open_source(place, samples[:1]).checksum
        assert open_source(place, samples, follow_links=True).checksum
    (videos / "b.mp4").symlink_to(videos / "a/own.mp4")  # inside
    assert open_source(videos, [Sample("b", "b", "b.mp4", (0,), 1)]).checksum


def test_every_command_that_reads_frames_follows_links_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, frames, samples = write_linked(tmp_path)
    monkeypatch.chdir(tmp_path)
    write_list(Path("list.csv"), samples)
    write_labels(Path("labels.csv"), ["one", "two"])
    Path("lexicon.txt").write_text("a\nb\nc\nd\ne\n")
    sets = ("model.weights=nowhere.pt", "train.batch_size=2")
    place = ("--frames", str(frames), *(word for each in sets for word in ("--set", each)))
    for words in (
        ("eval", "nowhere.pt", "--list", "list.csv", *place, "--out", "out"),
        ("zeroshot", "--list", "list.csv", *place, "--out", "out"),
        ("attributes", "lexicon.txt", "out", "--list", "list.csv", *place),
        ("train", "--train", "list.csv", *place, "--out", "out"),
    ):
        refused, asked = run_command(*words), run_command(*words, "--follow-links")
        assert LEADS_OUT in refused
        assert "nowhere.pt" in asked  # what is missing next


def run_command(*words: str) -> str:
    """The error that a command ends with."""
    with pytest.raises(BikeError) as raised:
        CliRunner().invoke(build_app(), list(words), catch_exceptions=False)
    return str(raised.value)


@pytest.mark.parametrize("kind", ["videos", "frames"])
def test_other_files_of_the_same_names_have_another_checksum(tmp_path: Path, kind: str) -> None:
    """A state, a checkpoint and a result's provenance would otherwise pass them off as those they were made of."""
    folder = write_linked(tmp_path)[kind == "frames"]
    sample = Sample("v0", "v0", "a/own.mp4", (0,), 1)
    first = open_source(folder, [sample]).checksum
    moved = folder.rename(tmp_path / "moved")
    assert open_source(moved, [sample]).checksum == first  # wherever they lie
    changed = moved / sample.path
    os.utime(changed, ns=(1, 1))
    timed = open_source(moved, [sample]).checksum
    assert timed != first
    if kind == "videos":
        changed.write_bytes(b"longer than it was")
        os.utime(changed, ns=(1, 1))
        assert open_source(moved, [sample]).checksum not in (first, timed)
