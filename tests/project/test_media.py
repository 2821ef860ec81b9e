"""media.csv: made the same each time, and checked in one line before anything is done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers.commands import run_bike
from helpers.videos import make_tar, make_video

from bike.errors import DataError
from bike.project.media import check_media, media_source, read_media_file, write_media
from bike.records import read_manifest
from stages.extract import main as extract_stage


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    for name in ("a/1", "a/2", "b/1"):
        make_video(tmp_path / "videos" / f"{name}.mp4", 3)
    return tmp_path / "videos"


@pytest.mark.parametrize("full", [False, True])
def test_equal_videos_give_equal_bytes_wherever_and_whenever(videos: Path, tmp_path: Path, full: bool) -> None:
    media = write_media(videos, tmp_path / "one.csv", full=full)
    assert [row.path for row in media] == ["a/1.mp4", "a/2.mp4", "b/1.mp4"]
    assert media == read_media_file(tmp_path / "one.csv")
    os.utime(videos / "a/1.mp4", (1, 1))
    videos.rename(tmp_path / "moved")
    write_media(tmp_path / "moved", tmp_path / "two.csv", full=full)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_videos_in_tars_count_one_by_one(videos: Path, tmp_path: Path) -> None:
    make_tar(tmp_path / "all.tar", [("x.mp4", (videos / "a/1.mp4").read_bytes())])
    (row,) = write_media(tmp_path / "all.tar", tmp_path / "media.csv")
    assert row.bytes == (videos / "a/1.mp4").stat().st_size
    check_media(tmp_path / "media.csv", tmp_path / "all.tar", contents=True)


def test_what_is_absent_or_another_is_one_line(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    media = tmp_path / "media.csv"
    write_media(videos, media)
    check_media(media, videos, contents=True)
    make_video(videos / "more.mp4", 3)  # not asked for
    check_media(media, videos, contents=True)
    data = (videos / "a/1.mp4").read_bytes()
    (videos / "a/1.mp4").write_bytes(bytes([data[0] ^ 1]) + data[1:])
    check_media(media, videos)  # sizes only
    with pytest.raises(DataError, match=r"1 of 3 videos are not those of .*media.csv: a/1\.mp4\. .*bike manifest"):
        check_media(media, videos, contents=True)
    (videos / "a/1.mp4").unlink()
    with pytest.raises(DataError, match=r"1 of 3 videos of .*media.csv are absent: a/1\.mp4"):
        check_media(media, videos)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BIKE_VIDEOS", "absent")
    with pytest.raises(DataError, match=r"absent: no such folder.* Correct BIKE_VIDEOS\."):
        media_source(Path("media.csv"))
    assert "Correct VIDEOS." in run_bike("manifest", "nowhere", "--check").stderr
    monkeypatch.delenv("BIKE_VIDEOS")
    with pytest.raises(DataError, match=r"absent: no such folder.* Correct `videos` in machine\.yaml\."):
        check_media(media, tmp_path / "absent")
    with pytest.raises(DataError, match="machine.yaml, or set BIKE_VIDEOS"):
        media_source(Path("media.csv"))
    monkeypatch.setenv("BIKE_VIDEOS", str(videos))
    make_video(videos / "a/1.mp4", 3)
    assert media_source(Path("media.csv")) == (videos, Path("media.csv"))
    assert media_source(Path("other")) == (Path("other"), None)


def test_links_out_are_left_out_or_followed_as_asked(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As extraction rejects them; what a media.csv names because somebody asked is followed by its stages."""
    elsewhere = make_video(tmp_path / "elsewhere/z.mp4", 4)
    (videos / "link.mp4").symlink_to(elsewhere)
    (videos / "folder").symlink_to(elsewhere.parent)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BIKE_VIDEOS", str(videos))
    assert [row.path for row in write_media(videos, "media.csv")] == ["a/1.mp4", "a/2.mp4", "b/1.mp4"]
    assert f"{videos}: 2 left out, each a link that leads out of the folder; --follow-links follows it" in caplog.text
    (tmp_path / "links").mkdir()
    (tmp_path / "links/a.mp4").symlink_to(elsewhere)
    with pytest.raises(DataError, match="links: nothing but links .* with --follow-links"):
        write_media(tmp_path / "links", "other.csv")
    for words in (["manifest", "--check"], ["manifest", "--follow-links"], ["manifest", "--check"]):
        done = run_bike(*words)
        assert done.returncode == 0, done.stderr
    assert [row.path for row in read_media_file("media.csv")][3:] == ["folder/z.mp4", "link.mp4"]
    Path("params.yaml").write_text("extract: {}\n")
    monkeypatch.setattr("sys.argv", ["extract", "media.csv", "frames"])
    extract_stage()
    assert [record.status for record in read_manifest("frames/manifest.csv")] == ["ok"] * 5
