"""``bike doctor``: the machine, and a quick look at videos, packs and shards."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from helpers.shards import thin_packs
from helpers.videos import make_video, overwrite
from typer.testing import CliRunner, Result

from bike.commands.doctor import doctor
from bike.doctor.check import Check
from bike.doctor.data import check_data, spread
from bike.doctor.machine import check_machine
from bike.extract.run import extract_videos
from bike.params import Extract
from bike.records import Sample, read_manifest, write_list
from bike.shard.run import write_shards


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(3):
        make_video(folder / f"{number}.mp4", 5)
    return folder


@pytest.fixture(scope="module")
def frames(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    extract_videos(videos, folder, jobs=1, options=Extract())
    return folder


def by_subject(checks: list[Check]) -> dict[str, Check]:
    return {check.subject: check for check in checks}


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(doctor)
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_the_machine() -> None:
    checks = by_subject(check_machine())
    for subject in ("python", "cores", "ffmpeg", "ffmpeg-python", "decoder pyav", "jpeg", "torch"):
        assert checks[subject].status == "ok", checks[subject]
    assert sys.version.split()[0] in checks["python"].detail
    assert "ffmpeg version" in checks["ffmpeg"].detail
    assert "h264" in checks["decoder pyav"].detail
    assert "device" in checks
    assert all("\n" not in check.detail for check in checks.values())


def test_what_is_set_for_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("BIKE_DEVICE", "BIKE_WORKERS", "BIKE_JOBS", "BIKE_VIDEOS", "BIKE_LAUNCH"):
        monkeypatch.delenv(name, raising=False)
    assert by_subject(check_machine())["machine.yaml"].detail == "nothing is set: the defaults hold"
    Path("machine.yaml").write_text("device: cuda:1\njobs: 3\n")
    assert by_subject(check_machine())["machine.yaml"] == Check("machine.yaml", "ok", "device cuda:1, jobs 3")
    Path("machine.yaml").write_text("device: gpux\n")
    found = by_subject(check_machine())["machine.yaml"]
    assert found == Check("machine.yaml", "bad", "machine.yaml: device: cpu, cuda or cuda:N is allowed (got 'gpux').")


def test_a_machine_without_ffmpeg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "none"))
    assert by_subject(check_machine())["ffmpeg"].status == "bad"


def test_a_machine_without_decoders_and_torch_is_still_looked_at() -> None:
    code = (
        "import sys; sys.modules |= dict.fromkeys(('av', 'simplejpeg', 'torch', 'numpy')); "
        "from bike.doctor.machine import check_machine; "
        "print(*(check.subject for check in check_machine() if check.status == 'bad'), sep=', ')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "ffmpeg, ffmpeg-python, decoder pyav, jpeg, torch, device\n"


def test_good_videos(videos: Path) -> None:
    checks = by_subject(check_data(videos))
    assert checks["data"].detail.startswith("3 videos, ")
    assert checks["decoding"].status == "ok"
    assert checks["decoding"].detail == "3 of 3 sampled videos decode, 15 frames, 80x48 to 80x48 px"


def test_bad_videos_are_named_with_their_reason(videos: Path, tmp_path: Path) -> None:
    overwrite(make_video(tmp_path / "a.mp4", 30), tmp_path / "b.mp4", 0.6, 0.2)
    (tmp_path / "c\x1b[31m.mp4").write_text("no video")
    (tmp_path / "d.mp4").symlink_to(tmp_path / "none.mp4")
    checks = by_subject(check_data(tmp_path))
    assert checks["files"].detail == "1 can't be read: d.mp4 (no such file)"
    assert checks["decoding"].status == "bad"
    assert "1 of 3 sampled videos decode" in checks["decoding"].detail
    assert "b.mp4 (damaged: " in checks["decoding"].detail
    assert "'c\\x1b[31m.mp4' (not a video" in checks["decoding"].detail


def test_frame_packs(frames: Path, tmp_path: Path) -> None:
    checks = by_subject(check_data(frames))
    assert checks["data"].detail.startswith("frame packs of 3 videos, 15 frames, ")
    assert checks["reading"].detail == "3 of 3 sampled packs read well"
    thin = by_subject(check_data(thin_packs(frames, 2)))
    assert thin["data"].detail.startswith("frame packs of 3 videos, 6 of 15 frames, ")
    assert thin["reading"].detail == "3 of 3 sampled packs read well"
    for path in frames.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "0.mjpg").unlink()
    broken = bytearray((tmp_path / "1.mjpg").read_bytes())
    broken[100:200] = bytes(100)
    (tmp_path / "1.mjpg").write_bytes(broken)
    checks = by_subject(check_data(tmp_path))
    assert checks["packs"].status == "bad"
    assert checks["packs"].detail.startswith("1 are missing or of another size: 0. ")
    assert re.match(r"1 of 2 sampled packs read well: \S+/1.mjpg: frame pack: ", checks["reading"].detail)


def test_frame_folders(videos: Path, tmp_path: Path) -> None:
    extract_videos(videos, tmp_path, jobs=1, options=Extract(), layout="folders")
    assert [check.status for check in check_data(tmp_path)] == ["ok", "ok"]


def test_shards(frames: Path, tmp_path: Path) -> None:
    samples = [
        Sample(record.key, record.key, record.path, (0,), record.frames)
        for record in read_manifest(frames / "manifest.csv")
    ]
    write_list(tmp_path / "list.csv", samples)
    write_shards(tmp_path / "list.csv", frames, tmp_path / "shards")
    checks = by_subject(check_data(tmp_path / "shards"))
    assert checks["data"].detail.startswith("1 shards of 3 videos, ")
    assert checks["shards"].status == "ok"
    assert checks["reading"].detail == "3 of 3 sampled videos read well"
    (shard,) = (tmp_path / "shards").glob("*.tar")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    assert by_subject(check_data(tmp_path / "shards"))["shards"].status == "bad"
    shard.write_bytes(whole.replace(b"\xff\xd8", b"\0\0"))
    checks = by_subject(check_data(tmp_path / "shards"))
    assert checks["shards"].status == "ok"
    assert checks["reading"].status == "bad"
    assert checks["reading"].detail.startswith("0 of 3 sampled videos read well: ")


def test_nothing_there(tmp_path: Path) -> None:
    (check,) = check_data(tmp_path / "none")
    assert (check.status, "no such file or folder" in check.detail) == ("bad", True)
    (check,) = check_data(tmp_path)
    assert (check.status, "no videos" in check.detail) == ("bad", True)
    (tmp_path / "manifest.csv").write_text("a,b\n1,2\n")
    (check,) = check_data(tmp_path)
    assert (check.status, "column" in check.detail) == ("bad", True)


def test_samples_are_spread() -> None:
    assert spread(list(range(5)), 9) == [0, 1, 2, 3, 4]
    assert spread(list(range(101)), 5) == [0, 25, 50, 75, 100]
    assert spread(list(range(7)), 1) == [0]


def test_the_command(videos: Path, tmp_path: Path) -> None:
    result = run(str(videos), "--samples", "2")
    assert result.exit_code == 0
    assert "2 of 2 sampled videos decode" in result.output
    assert "decoder pyav" in result.output
    assert run(str(tmp_path / "none")).exit_code == 1
