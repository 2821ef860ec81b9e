"""Frame sources: shards, packs, folders and the cache give the same frames and the same errors."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from helpers.shards import HEIGHT, WIDTH, Data, frame_numbers, jpeg, make_data, picture
from PIL import Image

from bike.data.loader import training_batches
from bike.errors import BikeError, DataError
from bike.formats.packs import scan_offsets
from bike.frames.open import (
    CachedSource,
    FolderSource,
    FrameSource,
    GraySource,
    PackSource,
    Recent,
    ShardSource,
    open_source,
)
from bike.records import Sample, read_manifest, write_manifest
from bike.shard.run import write_shards


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return make_data(tmp_path_factory.mktemp("data"), [5, 9, 2])


@pytest.fixture(scope="module")
def places(data: Data, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One data set as shards, packs and published-style folders."""
    root = tmp_path_factory.mktemp("places")
    write_shards(data.list, data.frames, root / "shards", max_size_mb=0.02, jobs=1)
    for sample in data.samples:
        pack = (data.frames / f"{sample.video}.mjpg").read_bytes()
        offsets = scan_offsets(pack)
        folder = root / "folders" / sample.path
        folder.mkdir(parents=True)
        for frame in range(sample.frames):
            (folder / f"image_{frame + 1:06d}.jpg").write_bytes(pack[offsets[frame] : offsets[frame + 1]])
    return {"shards": root / "shards", "packs": data.frames, "folders": root / "folders"}


@pytest.mark.parametrize("kind", ["shards", "packs", "folders"])
def test_sources_agree(data: Data, places: dict[str, Path], kind: str) -> None:
    source = open_source(places[kind], data.samples, fps=8.0)
    assert type(source) is {"shards": ShardSource, "packs": PackSource, "folders": FolderSource}[kind]
    assert isinstance(source, FrameSource)
    reference = PackSource(places["packs"])
    for one in (source, pickle.loads(pickle.dumps(source)), CachedSource(source, 10)):
        for sample in data.samples:
            assert one.num_frames(sample.video) == sample.frames
            assert one.fps(sample.video) == 8.0
            for indices in ([0], [sample.frames - 1, 0, 0], range(sample.frames)):
                frames = one.read(sample.video, indices)
                assert frames.dtype == np.uint8
                assert frame_numbers(frames) == list(indices)
                assert np.array_equal(frames, reference.read(sample.video, indices))


@pytest.mark.parametrize("kind", ["shards", "packs", "folders", "cached"])
@pytest.mark.parametrize("indices", [[9], [0, 100], [-1], [3, -2]])
def test_frames_past_the_end_are_refused(data: Data, places: dict[str, Path], kind: str, indices: list[int]) -> None:
    source = open_source(places["packs" if kind == "cached" else kind], data.samples)
    with pytest.raises(DataError, match="no frame"):
        (CachedSource(source, 10) if kind == "cached" else source).read(data.samples[1].video, indices)


@pytest.mark.parametrize("kind", ["shards", "packs", "folders"])
def test_unknown_videos_are_named(data: Data, places: dict[str, Path], kind: str) -> None:
    source = open_source(places[kind], data.samples)
    for ask in (source.num_frames, lambda video: source.read(video, [0])):
        with pytest.raises(DataError, match="nobody"):
            ask("nobody")


def test_rejected_videos_and_lost_packs_are_named(tmp_path: Path) -> None:
    data = make_data(tmp_path, [3, 3])
    records = read_manifest(data.frames / "manifest.csv")
    from dataclasses import replace

    write_manifest(data.frames / "manifest.csv", [replace(records[0], status="rejected"), records[1]])
    (data.frames / f"{records[1].key}.mjpg").unlink()
    source = PackSource(data.frames)
    with pytest.raises(DataError, match="no frames of clips__v000"):
        source.num_frames(records[0].key)
    with pytest.raises(DataError, match=r"clips__v001.mjpg.*bike extract"):
        source.read(records[1].key, [0])


def test_damaged_packs_and_pictures_are_named(tmp_path: Path) -> None:
    data = make_data(tmp_path, [3])
    pack = data.frames / f"{data.samples[0].key}.mjpg"
    pack.write_bytes(pack.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"clips__v000.mjpg: frame pack: .*cut off"):
        PackSource(data.frames).read(data.samples[0].key, [0])
    folder = tmp_path / "folders/a"
    folder.mkdir(parents=True)
    (folder / "img_00001.jpg").write_bytes(b"no picture")
    samples = [Sample("a", "a", "a", (0,), 1)]
    with pytest.raises(DataError, match="folders/a"):
        FolderSource(tmp_path / "folders", samples).read("a", [0])


def test_pictures_that_claim_to_be_huge_are_refused(tmp_path: Path) -> None:
    """A header of a few bytes could otherwise ask for gigabytes."""
    image = bytearray(jpeg(picture(0, 0)))
    size = image.index(b"\xff\xc0") + 5
    assert image[size : size + 4] == HEIGHT.to_bytes(2) + WIDTH.to_bytes(2)
    image[size : size + 4] = (65000).to_bytes(2) * 2
    (tmp_path / "a").mkdir()
    (tmp_path / "a/img_00001.jpg").write_bytes(image)
    with pytest.raises(DataError, match="claims 65000×65000 pixels"):
        FolderSource(tmp_path, [Sample("a", "a", "a", (0,), 1)]).read("a", [0])


def test_frame_folders_can_not_lead_elsewhere(tmp_path: Path) -> None:
    for path in ("../x", "/etc"):
        with pytest.raises(DataError, match="leads out"):
            FolderSource(tmp_path, [Sample("a", "a", path, (0,), 1)]).num_frames("a")


def test_the_cache_decodes_once_and_keeps_to_its_room(data: Data) -> None:
    class Counting(PackSource):
        decoded = 0

        def read(self, video: str, frame_indices: Sequence[int]) -> np.ndarray:
            self.decoded += len(frame_indices)
            return super().read(video, frame_indices)

    plain = Counting(data.frames)
    size = 5 * 24 * 32 * 3 / 1e6
    cached = CachedSource(plain, 1.5 * size)
    for _ in range(3):
        assert frame_numbers(cached.read(data.samples[0].video, [1, 2])) == [1, 2]
    assert frame_numbers(cached.read(data.samples[0].video, [4, 0, 0])) == [4, 0, 0]
    assert plain.decoded == 5  # each once
    cached.read(data.samples[1].video, [1, 2])  # would not fit: only these are decoded
    assert plain.decoded == 5 + 2
    for sample in data.samples[1:]:
        assert frame_numbers(cached.read(sample.video, [1, 0])) == [1, 0]
    assert plain.decoded == 5 + 2 + 2 * len(data.samples[1:])
    before = cached.read(data.samples[0].video, [0]).copy()
    cached.read(data.samples[0].video, [0])[:] = 0  # a reader's changes do not reach the cache
    assert np.array_equal(cached.read(data.samples[0].video, [0]), before)


def test_open_source_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no shards, frame packs, frame folders or videos"):
        open_source(tmp_path, [Sample("a", "a", "a", (0,), 1)])
    with pytest.raises(BikeError, match="no such folder"):
        open_source(tmp_path / "nowhere", [])
    (tmp_path / "00000.tar").write_bytes(b"")
    with pytest.raises(DataError, match="not finished"):
        open_source(tmp_path, [])


def test_recent_values_are_kept_and_old_ones_go() -> None:
    made: list[str] = []
    recent: Recent[str] = Recent(2)
    assert [recent.get(key, lambda key: made.append(key) or key.upper()) for key in "abacab"] == list("ABACAB")
    assert made == ["a", "b", "c", "b"]


def test_few_files_are_open_at_a_time(tmp_path: Path) -> None:
    data = make_data(tmp_path, [1] * 90)
    write_shards(data.list, data.frames, tmp_path / "out", max_size_mb=0.001, jobs=1)
    source = ShardSource(tmp_path / "out")
    assert len(source.index.shards) > 70
    before = len(list(Path("/proc/self/fd").iterdir()))
    for sample in data.samples:
        assert frame_numbers(source.read(sample.video, [0])) == [0]
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 64
    del source
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


@pytest.mark.parametrize("kind", ["shards", "packs", "folders"])
def test_luma_is_what_gray_frames_hold(data: Data, places: dict[str, Path], kind: str) -> None:
    source = open_source(places[kind], data.samples)
    assert isinstance(source, GraySource)
    video = data.samples[0].video
    luma = source.read_gray(video, [3, 0, 3])
    assert luma.shape == (3, HEIGHT, WIDTH, 1)
    colours = source.read(video, [3, 0, 3])
    expected = np.stack([np.asarray(Image.fromarray(frame).convert("L")) for frame in colours])
    assert np.abs(luma[..., 0].astype(int) - expected).max() <= 2
    cached = CachedSource(source, 1.0)
    for _ in range(2):
        assert np.array_equal(cached.read_gray(video, [3, 0, 3]), luma)
        assert np.array_equal(cached.read(video, [3, 0, 3]), colours)


def test_gray_clips_are_gray_whatever_the_source_can(data: Data, places: dict[str, Path]) -> None:
    class Plain:
        """A source of colours only."""

        def __init__(self, source: FrameSource) -> None:
            self.num_frames, self.fps, self.read = source.num_frames, source.fps, source.read

    source = open_source(places["shards"], data.samples)
    options = {"num_segments": 2, "batch_size": 3, "input_size": 16, "seed": 4, "grayscale": 0.5}
    frames = [next(iter(training_batches(data.samples, s, **options))).frames for s in (source, Plain(source))]
    gray = [(batch == batch[:, :, :, :1]).all(dim=(1, 2, 3, 4, 5)) for batch in frames]
    assert gray[0].tolist() == gray[1].tolist()
    assert 0 < int(gray[0].sum()) < 3
    assert (frames[0].int() - frames[1].int()).abs().max() <= 2
    assert frames[0][~gray[0]].equal(frames[1][~gray[1]])
