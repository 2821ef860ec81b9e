"""Shards: what is in them, that other programs read them, and that equal input makes equal bytes."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
import simplejpeg
from helpers.shards import (
    FPS,
    Data,
    contents,
    frame_numbers,
    jpeg,
    jpegs_of,
    make_data,
    make_record,
    picture,
    thin_packs,
    write_folder,
)
from helpers.videos import make_video

from bike.data.temporal import validation_indices
from bike.errors import BikeError, DataError
from bike.files import locked
from bike.formats.shards import read_shard_manifest
from bike.frames.open import ShardSource
from bike.records import Sample, read_manifest, write_list, write_manifest
from bike.shard.run import missing_packs, write_shards
from bike.shard.verify import verify_shards
from bike.video.walk import LEADS_OUT


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return make_data(tmp_path_factory.mktemp("data"), [3 + number % 5 for number in range(20)])


@pytest.fixture(scope="module")
def shards(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    write_shards(data.list, data.frames, folder, max_size_mb=0.05, jobs=1)
    return folder


def test_a_sample_is_a_json_and_a_pack(data: Data, shards: Path) -> None:
    found = {}
    for path in sorted(shards.glob("*.tar")):
        with tarfile.open(path) as tar:
            names = tar.getnames()
            assert names == sorted(names)
            assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in tar} == {(0, 0, 0, "", 0o644)}
            for name in names[::2]:
                stored = json.load(tar.extractfile(name))
                found[stored["key"]] = stored
                pack = tar.extractfile(f"{stored['key']}.mjpg").read()
                assert pack == (data.frames / f"{stored['key']}.mjpg").read_bytes()
                for frame in range(stored["frames"]):
                    part = pack[stored["offsets"][frame] : stored["offsets"][frame + 1]]
                    assert simplejpeg.decode_jpeg(part).shape == (24, 32, 3)
                    assert stored["crc32"][frame] == zlib.crc32(part)
    assert sorted(found) == sorted(sample.key for sample in data.samples)
    assert found["clips__v004"] | {"offsets": None, "crc32": None} == {
        "key": "clips__v004",
        "path": "clips/v004.mp4",
        "frames": 7,
        "fps": FPS,
        "width": 32,
        "height": 24,
        "seconds": 7 / FPS,
        "offsets": None,
        "crc32": None,
        "label": 1,
        "labels": [1],
        "name": "class 1",
        "instances": [{"key": "clips__v004", "labels": [1], "start_seconds": None, "end_seconds": None}],
    }


def test_shards_keep_to_the_largest_size_and_their_manifest(data: Data, shards: Path) -> None:
    manifest = read_shard_manifest(shards)
    assert len(manifest["shards"]) > 1
    assert all(shard["bytes"] <= 50_000 or shard["videos"] == 1 for shard in manifest["shards"])
    assert sum(shard["videos"] for shard in manifest["shards"]) == manifest["videos"] == 20
    assert {path.name for path in shards.iterdir()} == {
        "index.csv",
        "manifest.json",
        *(shard["name"] for shard in manifest["shards"]),
    }
    assert verify_shards(shards, jobs=1).videos == 20


READ_WITH_WEBDATASET = """
import json, sys, webdataset
for sample in webdataset.WebDataset(sys.argv[1], shardshuffle=False):
    print(sample["__key__"], json.loads(sample["json"])["offsets"][-1] == len(sample["mjpg"]))
"""


def test_webdataset_reads_shards_as_they_are(data: Data, shards: Path) -> None:
    pytest.importorskip("webdataset")
    names = ",".join(path.stem for path in sorted(shards.glob("*.tar")))
    command = [sys.executable, "-c", READ_WITH_WEBDATASET, f"{shards}/{{{names}}}.tar"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.splitlines()) == [f"{sample.key} True" for sample in data.samples]


def test_tar_lists_shards(shards: Path) -> None:
    path = sorted(shards.glob("*.tar"))[0]
    listed = subprocess.run(["tar", "tf", path], capture_output=True, text=True, check=True)
    assert listed.stdout.splitlines()[0].endswith(".json")
    assert listed.stderr == ""


def test_equal_input_makes_equal_bytes(data: Data, shards: Path, tmp_path: Path) -> None:
    write_list(tmp_path / "shuffled.csv", data.samples[::-1])
    (tmp_path / "labels.csv").write_bytes((data.list.parent / "labels.csv").read_bytes())
    write_shards(tmp_path / "shuffled.csv", data.frames, tmp_path / "out", max_size_mb=0.05, jobs=2)
    assert contents(tmp_path / "out") == contents(shards)


def test_long_keys_fit_into_headers(tmp_path: Path) -> None:
    key = "k" * 113
    record = make_record(tmp_path / "frames", 1, 2, key)
    write_manifest(tmp_path / "frames/manifest.csv", [record])
    write_shards(tmp_path / "frames/manifest.csv", tmp_path / "frames", tmp_path / "out", jobs=1)
    (path,) = (tmp_path / "out").glob("*.tar")
    with tarfile.open(path) as tar:
        assert tar.getnames() == [f"{key}.json", f"{key}.mjpg"]
    verify_shards(tmp_path / "out", jobs=1)
    assert ShardSource(tmp_path / "out").num_frames(key) == 2


def test_a_second_run_writes_nothing(data: Data, tmp_path: Path) -> None:
    first = write_shards(data.list, data.frames, tmp_path, max_size_mb=0.05, jobs=1)
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    second = write_shards(data.list, data.frames, tmp_path, max_size_mb=0.05, jobs=1)
    assert (first.written, second.written) == (first.shards, 0)
    assert replace(second, written=first.written) == first
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times


def test_adding_changing_and_removing_a_video_touches_few_shards(tmp_path: Path) -> None:
    data = make_data(tmp_path, [4] * 40)
    folder = tmp_path / "out"
    options = {"max_size_mb": 0.06, "jobs": 1}
    write_shards(data.list, data.frames, folder, replace=True, **options)
    manifest, records = data.frames / "manifest.csv", read_manifest(data.frames / "manifest.csv")
    before = contents(folder)
    for number in range(100, 108):
        record = make_record(data.frames, number, 4)
        records.append(record)
        data.samples.append(Sample(record.key, record.key, record.path, (0,), 4))
        write_manifest(manifest, records)
        write_list(data.list, data.samples)
        write_shards(data.list, data.frames, folder, replace=True, **options)
        after = contents(folder)
        tars = {name for name in before.keys() | after.keys() if name.endswith(".tar")}
        changed = {name for name in tars if before.get(name) != after.get(name)}
        assert 1 <= len(changed) <= 2, (number, changed)
        before = after
    data.samples[3] = replace(data.samples[3], labels=(2,))
    write_list(data.list, data.samples)
    assert write_shards(data.list, data.frames, folder, replace=True, **options).written == 1
    records[5] = make_record(data.frames, 55, 4, records[5].key)
    write_manifest(manifest, records)
    assert write_shards(data.list, data.frames, folder, replace=True, **options).written == 1
    write_list(data.list, data.samples[:40])
    summary = write_shards(data.list, data.frames, folder, replace=True, **options)
    fresh = write_shards(data.list, data.frames, tmp_path / "fresh", **options)
    assert summary.videos == 40
    assert summary.written < fresh.written
    assert contents(folder) == contents(tmp_path / "fresh")


def test_other_options_write_other_shards_and_clear_the_old_ones(data: Data, tmp_path: Path) -> None:
    write_shards(data.list, data.frames, tmp_path / "a", max_size_mb=0.05, jobs=1)
    write_shards(data.list, data.frames, tmp_path / "a", frames_per_video=2, jobs=1, replace=True)
    write_shards(data.list, data.frames, tmp_path / "b", frames_per_video=2, jobs=1)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert len(list((tmp_path / "a").glob("*.tar"))) == 1


@pytest.mark.parametrize("segments", [2, 4])
def test_fewer_frames_per_video_are_those_of_validation(tmp_path: Path, segments: int) -> None:
    data = make_data(tmp_path, [11, 3])
    write_shards(data.list, data.frames, tmp_path / "out", frames_per_video=4, jobs=1)
    source = ShardSource(tmp_path / "out")
    key, short = data.samples[0].video, data.samples[1].video
    assert (source.num_frames(key), source.fps(key), [*source.kept(key).indices]) == (11, FPS, [0, 2, 5, 8])
    drawn = validation_indices(11, segments)
    assert frame_numbers(source.read(key, drawn)) == drawn
    assert frame_numbers(source.read(key, [10, 1, 4])) == [8, 0, 5]
    assert (source.num_frames(short), source.fps(short), source.kept(short).text) == (3, FPS, "")


@pytest.mark.parametrize(("limit", "stored"), [(None, [0, 2, 5, 8]), (9, [0, 2, 5, 8]), (2, [0, 5]), (3, [0, 2, 8])])
def test_packs_that_hold_some_frames_become_shards_that_hold_no_others(
    tmp_path: Path, limit: int | None, stored: list[int]
) -> None:
    """3 of 11 would be 0, 3 and 7: 2 is nearer to 3 than 5, and 8 to 7."""
    data = make_data(tmp_path, [11, 3])
    write_shards(data.list, thin_packs(data.frames, 4), tmp_path / "out", frames_per_video=limit, jobs=1)
    verify_shards(tmp_path / "out", jobs=1)
    source, key = ShardSource(tmp_path / "out"), data.samples[0].video
    assert (source.num_frames(key), [*source.kept(key).indices]) == (11, stored)
    assert frame_numbers(source.read(key, stored)) == stored
    assert source.frames_per_video == min(4, limit or 4)
    assert source.samples() == data.samples  # which count all frames
    before = contents(tmp_path / "out")
    assert write_shards(data.list, tmp_path / "thin", tmp_path / "out", frames_per_video=limit, jobs=1).written == 0
    with pytest.raises(BikeError, match=r"another frames_per_video.*--replace"):
        write_shards(data.list, data.frames, tmp_path / "out", jobs=1)
    assert contents(tmp_path / "out") == before


def test_a_sample_of_which_nothing_is_stored_is_refused(tmp_path: Path) -> None:
    """Of 16 frames 0, 4, 8 and 12 are: none of 5 and 6."""
    data = make_data(tmp_path, [16])
    video = data.samples[0]
    samples = [Sample(f"{video.key}-1", video.key, video.path, (0,), 16, 5 / FPS, 7 / FPS)]
    for frames, limit in ((data.frames, 4), (thin_packs(data.frames, 4), None)):
        with pytest.raises(DataError, match=f"sample {video.key}-1: none of the frames 5 to 6 is kept"):
            write_shards(samples, frames, tmp_path / "out", frames_per_video=limit, jobs=1)
    write_shards(samples, data.frames, tmp_path / "out", frames_per_video=8, jobs=1)


def test_samples_of_one_video_share_its_pack(tmp_path: Path) -> None:
    data = make_data(tmp_path, [16, 8])
    video = data.samples[0]
    samples = [
        Sample(f"{video.key}-1", video.key, video.path, (2, 0), 16, 0.25, 1.0),
        Sample(f"{video.key}-2", video.key, video.path, (1,), 16, 1.0, 2.1),
        Sample(data.samples[1].key, data.samples[1].key, data.samples[1].path, (), 8),
    ]
    summary = write_shards(samples, data.frames, tmp_path / "out", jobs=1)
    assert (summary.videos, summary.samples) == (2, 3)
    source = ShardSource(tmp_path / "out")
    assert source.samples() == samples
    with tarfile.open(tmp_path / "out/00000.tar") as tar:
        stored = json.load(tar.extractfile(f"{video.key}.json"))
        assert len(tar.getnames()) == 4
    assert (stored["label"], stored["labels"], stored["name"]) == (0, [0, 1, 2], None)
    assert stored["instances"][1] == {
        "key": f"{video.key}-2",
        "labels": [1],
        "start_seconds": 1.0,
        "end_seconds": 2.1,
    }


def test_an_extraction_manifest_is_a_list_too(tmp_path: Path) -> None:
    data = make_data(tmp_path, [3, 4])
    manifest = data.frames / "manifest.csv"
    rejected = replace(read_manifest(manifest)[0], key="bad", status="rejected", frames=0, error="empty")
    write_manifest(manifest, [*read_manifest(manifest), rejected])
    summary = write_shards(manifest, data.frames, tmp_path / "out", jobs=1)
    assert (summary.videos, summary.samples) == (2, 2)
    assert [sample.labels for sample in ShardSource(tmp_path / "out").samples()] == [(), ()]


def test_published_frame_folders_and_lists(tmp_path: Path) -> None:
    lines = []
    for number, (folder, count) in enumerate({"class a//-Odd #1!": 3, "plain": 5}.items()):
        (tmp_path / "frames" / folder).mkdir(parents=True)
        for frame in range(count):
            name = f"{Path(folder).name}-{frame + 1:06d}.jpg"
            (tmp_path / "frames" / folder / name).write_bytes(jpeg(picture(number, frame)))
        lines.append(f"{folder} {count} {number}\n")
    (tmp_path / "val.txt").write_text("".join(lines))
    write_shards(tmp_path / "val.txt", tmp_path / "frames", tmp_path / "out", jobs=1, fps=24)
    source = ShardSource(tmp_path / "out")
    samples = {sample.path: sample for sample in source.samples()}
    assert {path: (s.labels, s.frames) for path, s in samples.items()} == {
        "class a/-Odd #1!": ((0,), 3),
        "plain": ((1,), 5),
    }
    assert frame_numbers(source.read("plain", [0, 4, 2])) == [0, 4, 2]
    stored = source.stored("plain")
    assert (stored.fps, stored.width, stored.height) == (24, 32, 24)


def test_frame_folders_with_a_gap_or_a_wrong_count_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "frames/a"
    folder.mkdir(parents=True)
    for frame in (1, 2, 4):
        (folder / f"img_{frame:05d}.jpg").write_bytes(jpeg(picture(0, frame)))
    (tmp_path / "val.txt").write_text("a 3 0\n")
    with pytest.raises(DataError, match="frame 3 is missing"):
        write_shards(tmp_path / "val.txt", tmp_path / "frames", tmp_path / "out", jobs=1)
    (folder / "img_00003.jpg").write_bytes(jpeg(picture(0, 3)))
    with pytest.raises(DataError, match="holds 4 frames, its record says 3"):
        write_shards(tmp_path / "val.txt", tmp_path / "frames", tmp_path / "out", jobs=1)
    assert not (tmp_path / "out/manifest.json").exists()


@pytest.mark.parametrize("path", ["../outside", "/etc", "a/../../outside"])
def test_lists_can_not_lead_out_of_the_folder(tmp_path: Path, path: str) -> None:
    (tmp_path / "frames").mkdir()
    samples = [Sample("a", "a", path, (0,), 3)]
    with pytest.raises(DataError, match="leads out of the folder"):
        write_shards(samples, tmp_path / "frames", tmp_path / "out", jobs=1)


def test_video_files_can_be_the_payload(tmp_path: Path) -> None:
    data = make_data(tmp_path, [3, 4])
    for sample in data.samples:
        make_video(tmp_path / "media" / sample.path, sample.frames, fps=8)
    write_shards(
        data.list, data.frames, tmp_path / "out", payload="mp4", media=tmp_path / "media", jobs=1, frames_per_video=2
    )
    with tarfile.open(tmp_path / "out/00000.tar") as tar:
        assert tar.getnames() == [f"{s.key}.{ext}" for s in data.samples for ext in ("json", "mp4")]
        second = tmp_path / "media" / data.samples[1].path
        assert tar.extractfile(f"{data.samples[1].key}.mp4").read() == second.read_bytes()
        assert json.load(tar.extractfile(f"{data.samples[1].key}.json"))["offsets"] is None
    assert verify_shards(tmp_path / "out", jobs=1).videos == 2
    assert ShardSource(tmp_path / "out").num_frames(data.samples[1].key) == 4


@pytest.mark.parametrize("payload", ["mp4", "mjpg"])
def test_links_out_of_a_folder_are_followed_when_asked(tmp_path: Path, payload: str) -> None:
    """Of source videos, and of published-style frame folders."""
    data = make_data(tmp_path, [3, 4])
    place, own = tmp_path / "place", {"payload": payload, "jobs": 1}
    for number, sample in enumerate(data.samples):
        target = tmp_path / f"elsewhere/{number}.mp4" if number else place / sample.path
        if payload == "mp4":
            make_video(target, sample.frames, fps=8)
        else:
            write_folder(target, jpegs_of(data.frames / f"{sample.key}.mjpg"))
    (place / data.samples[1].path).symlink_to(tmp_path / "elsewhere/1.mp4")
    where = (data.frames, tmp_path / "out") if payload == "mp4" else (place, tmp_path / "out")
    own |= {"media": place} if payload == "mp4" else {}
    with pytest.raises(DataError, match=rf"1 of 2 videos .*: {data.samples[1].path}: {LEADS_OUT}"):
        write_shards(data.samples, *where, **own)
    assert write_shards(data.samples, *where, follow_links=True, **own).videos == 2


def test_missing_packs_are_counted_and_the_remedy_is_named(tmp_path: Path) -> None:
    data = make_data(tmp_path, [3] * 14)
    assert missing_packs(data.samples, data.frames) == []
    for sample in data.samples[1:13]:
        (data.frames / f"{sample.key}.mjpg").unlink()
    assert missing_packs(data.samples, data.frames) == [sample.key for sample in data.samples[1:13]]
    with pytest.raises(DataError, match=r"12 of 14 videos .*and 2 more.*bike extract") as raised:
        write_shards(data.list, data.frames, tmp_path / "out", jobs=1)
    assert "\n" not in str(raised.value)


def test_packs_of_another_extraction_are_missing(tmp_path: Path) -> None:
    data = make_data(tmp_path, [3] * 3)
    records = read_manifest(data.frames / "manifest.csv")
    sizes = [records[0].bytes + 1, 0, records[2].bytes]  # 0: an older manifest, which says none
    rows = [replace(record, bytes=size) for record, size in zip(records, sizes, strict=True)]
    write_manifest(data.frames / "manifest.csv", rows)
    assert missing_packs(data.samples, data.frames) == [records[0].key]
    (data.frames / "manifest.csv").unlink()  # nothing says what they should be
    assert missing_packs(data.samples, data.frames) == []


def test_contradictions_between_list_manifest_and_packs_are_named(tmp_path: Path) -> None:
    data = make_data(tmp_path, [3, 4, 5, 6])
    records = read_manifest(data.frames / "manifest.csv")
    changed = [
        replace(records[0], status="rejected", error="truncated"),
        replace(records[1], frames=9),
        records[2],
    ]
    write_manifest(data.frames / "manifest.csv", changed)
    extract, annotate = r"\. Run `bike extract` again: it makes what is missing\.", r"\. Write .* \(`bike annotate`\)\."
    with pytest.raises(
        DataError, match=rf"3 of 4 videos [^`]*{extract} Write the list again .*annotate`\)\.$"
    ) as raised:
        write_shards(data.list, data.frames, tmp_path / "out", jobs=1)
    for part in (
        "v000.mp4: rejected by the extraction (truncated)",
        "4 frames in the list, 9 are there",
        "not in the manifest",
    ):
        assert part in str(raised.value)
    write_manifest(data.frames / "manifest.csv", records)
    samples = [replace(sample, frames=0) for sample in data.samples]  # 0 says nothing
    assert write_shards(samples, data.frames, tmp_path / "unsaid", jobs=1).videos == 4
    past = [*data.samples[:3], replace(data.samples[3], end_seconds=7.1 / FPS)]
    with pytest.raises(
        DataError, match=r"1 of 4 videos .* trimmed at 0\.8875 s, past its end \(0\.75 s\)" + f"{annotate}$"
    ):
        write_shards(past, data.frames, tmp_path / "out", jobs=1)
    samples = [*data.samples, replace(data.samples[3], key="again", frames=7)]
    with pytest.raises(DataError, match=f"1 of 4 videos [^`]* 7 frames in the list, 6 are there{annotate}$"):
        write_shards(samples, data.frames, tmp_path / "out", jobs=1)
    for kept, remedy in (
        (records[:3], f"1 of 4 .* not in the manifest{extract}"),
        ([], f"4 of 4 .*Give others{annotate}"),
    ):
        write_manifest(data.frames / "manifest.csv", kept)
        with pytest.raises(DataError, match=f"{remedy}$"):
            write_shards(data.list, data.frames, tmp_path / "out", jobs=1)
    write_manifest(data.frames / "manifest.csv", records)
    (data.frames / "clips__v002.mjpg").write_bytes(b"shorter")
    with pytest.raises(DataError, match=rf"clips__v002.mjpg: 7 bytes, the manifest says \d+{extract}$"):
        write_shards(data.list, data.frames, tmp_path / "out", jobs=1)


def test_a_damaged_pack_leaves_no_shard_behind(tmp_path: Path) -> None:
    data = make_data(tmp_path, [3, 4])
    pack = data.frames / "clips__v001.mjpg"
    pack.write_bytes(pack.read_bytes()[:-40] + bytes(40))
    with pytest.raises(DataError, match=r"1 videos can't be stored: .*clips__v001.mjpg"):
        write_shards(data.list, data.frames, tmp_path / "out", jobs=1)
    assert not list((tmp_path / "out").glob("*.tar"))
    assert not (tmp_path / "out/manifest.json").exists()


def test_an_empty_list_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("key,video,path,label,frames,start_seconds,end_seconds\n")
    (tmp_path / "frames").mkdir()
    with pytest.raises(DataError, match="Nothing to shard"):
        write_shards(tmp_path / "empty.csv", tmp_path / "frames", tmp_path / "out")


def test_two_runs_can_not_share_a_folder(data: Data, tmp_path: Path) -> None:
    with locked(tmp_path, "testing"), pytest.raises(BikeError, match="another run is writing shards here. Wait for it"):
        write_shards(data.list, data.frames, tmp_path, jobs=1)


@pytest.mark.parametrize("options", [{"max_size_mb": 0}, {"frames_per_video": 0}, {"payload": "zip"}])
def test_bad_options_are_the_callers_bug(data: Data, tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        write_shards(data.list, data.frames, tmp_path, **options)
