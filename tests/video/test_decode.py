"""Decoding: true frame counts, honest reasons, chosen frames, time limits."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import struct
import tarfile
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.videos import cut, make_video, overwrite, read_number
from PIL import Image

from bike.errors import BikeError, DataError
from bike.video.decode import decode_frames, probe_video, survey_video
from bike.video.file import UnreadableError, VideoFile
from bike.workers.worker import has_module

DECODERS = ["pyav", pytest.param("decord", marks=pytest.mark.skipif(not has_module("decord"), reason="no decord"))]
FORMATS = {
    "a.mp4": {},
    "b.mkv": {},
    "c.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "d.webm": {"codec": "libvpx-vp9"},
    "e.ts": {},
    "f.mov": {"codec": "mjpeg", "pixels": "yuvj420p", "full_range": True},
    "g.mp4": {"options": {"g": "6", "bf": "3"}},
    "fast.mp4": {"container_options": {"movflags": "faststart"}},
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name, settings in FORMATS.items():
        make_video(folder / name, 30, **settings)  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", FORMATS)
def test_chosen_frames_in_any_order(videos: Path, name: str, decoder: str) -> None:
    indices = [29, 0, 17, 17, 5]
    if (name, decoder) == ("e.ts", "decord"):
        with pytest.raises(DataError, match=r"e\.ts: decord is not used for this container; use pyav"):
            decode_frames(videos / name, indices, backend="decord")
        return
    frames = decode_frames(videos / name, indices, backend=decoder)  # type: ignore[arg-type]
    assert frames.shape == (5, 48, 80, 3)
    assert frames.dtype == np.uint8
    assert [read_number(frame) for frame in frames] == indices


@pytest.mark.skipif(not has_module("decord"), reason="no decord")
@pytest.mark.parametrize("width", [16, 32, 48, 64])
def test_narrow_videos_come_whole_from_decord(tmp_path: Path, width: int) -> None:
    video = make_video(tmp_path / "a.mp4", 4, width=width)
    ours, theirs = (decode_frames(video, [3, 0], backend=name) for name in ("pyav", "decord"))  # type: ignore[arg-type]
    assert theirs.shape == ours.shape == (2, 48, width, 3)
    assert np.abs(theirs.astype(float) - ours).mean() < 1


@pytest.mark.parametrize("name", FORMATS)
def test_counts_and_rates(videos: Path, name: str) -> None:
    facts = probe_video(videos / name)
    assert (facts.frames, facts.fps, facts.width, facts.height, facts.damage) == (30, 10.0, 80, 48, "")


def test_sources_of_every_kind(videos: Path, tmp_path: Path) -> None:
    data = (videos / "a.mp4").read_bytes()
    inside = tmp_path / "archive"
    inside.write_bytes(b"before" + data + b"after")
    expected = decode_frames(videos / "a.mp4", [3, 9])
    for source in (str(videos / "a.mp4"), data, VideoFile(str(inside), 6, len(data))):
        np.testing.assert_array_equal(decode_frames(source, [3, 9]), expected)
        assert probe_video(source).frames == 30


def test_variable_rate_is_kept(tmp_path: Path) -> None:
    times = [0, 40, 80, 1000, 1040, 2500, 2540, 2580, 6000, 6040]
    video = make_video(tmp_path / "a.mkv", 10, fps=25, times=times)
    facts = probe_video(video)
    assert facts.frames == 10
    assert facts.fps == pytest.approx(9 / 6.04, rel=1e-4)
    assert [read_number(frame) for frame in decode_frames(video, range(10))] == list(range(10))


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_frame_past_the_end_is_named(videos: Path, decoder: str) -> None:
    with pytest.raises(DataError, match=r"c\.avi: no frame 30 "):
        decode_frames(videos / "c.avi", [0, 30], backend=decoder)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no frame"):
        decode_frames(videos / "a.mp4", [-1], backend=decoder)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="indices"):
        decode_frames(videos / "a.mp4", [])


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_slow_video_costs_its_time_limit_only(videos: Path, decoder: str) -> None:
    with pytest.raises(DataError, match=r"a\.mp4: timed out after 1e-06 s"):
        decode_frames(videos / "a.mp4", [29], backend=decoder, timeout_seconds=1e-6)  # type: ignore[arg-type]
    assert read_number(decode_frames(videos / "a.mp4", [29])[0]) == 29


def reason(path: Path) -> str:
    with pytest.raises(UnreadableError) as caught:
        survey_video(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty file (0 bytes)"),
        (b"Dear diary, this is no video.\n" * 20, "not a video (no known container format)"),
        (bytes(4096), "not a video (it begins with zeros)"),
        (b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", "no frames: the video stream is empty"),
        (b"FLV\x01\x01\x00\x00\x00\x09\x00\x00\x00\x00", "truncated: the file ends before its first frame"),
        (b"\x00\x00\x00\x18ftypisom" + bytes(12), "truncated: the index of the file (moov) is missing or cut off"),
        (b"\x1b[31mred\x1b[0m art\n" * 50, "not a video (no known container format)"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "not a video (a Git LFS pointer; run `git lfs pull`)",
        ),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>\n<title>404</title>", "not a video (an HTML page)"),
        (b"<html><body>Not here</body>", "not a video (an HTML page)"),
        (b"<?xml version='1.0'?><Error/>", "not a video (an XML document, such as a server's error message)"),
        (b"<Error><Code>AccessDenied</Code>", "not a video (an XML document, such as a server's error message)"),
        (b' {\n "error": "denied"}', "not a video (a JSON document, such as a server's error message)"),
        (b'[{"error": 403}]', "not a video (a JSON document, such as a server's error message)"),
        (gzip.compress(b"x", mtime=0), "not a video (compressed with gzip; unpack it)"),
        (bz2.compress(b"x"), "not a video (compressed with bzip2; unpack it)"),
        (lzma.compress(b"x"), "not a video (compressed with xz; unpack it)"),
        (b"PK\x03\x04" + bytes(40), "not a video (a zip archive; unpack it)"),
        (tarfile.TarInfo("a.mp4").tobuf() + bytes(1024), "not a video (a tar archive)"),
        (b"%PDF-1.7\n", "not a video (a PDF document)"),
        (b"{curly} diary", "not a video (no known container format)"),
        (b"BMW drives by\n", "not a video (no known container format)"),
    ],
)
def test_reasons_for_what_is_no_video(tmp_path: Path, data: bytes, expected: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    assert reason(path) == expected


def test_pictures_and_sound_are_no_videos(tmp_path: Path) -> None:
    for kind in ("JPEG", "PNG", "BMP", "TIFF", "WebP"):
        picture = tmp_path / f"{kind}.mp4"
        Image.new("RGB", (64, 64), "red").save(picture, kind)
        assert reason(picture) == f"not a video (a {kind} picture)"
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert reason(sound) == "no video stream (audio only)"


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{path}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{path}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{path}</BaseURL></MPD>',
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".ffconcat", ".mpd"])
def test_playlists_open_no_other_files(videos: Path, tmp_path: Path, text: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text(text.format(path=videos / "a.mp4"))
    assert reason(path).startswith("not a video")


def test_encrypted_and_huge_videos_and_what_is_no_file(videos: Path, tmp_path: Path) -> None:
    """A track whose sample entry says ``encv``, as encrypted MP4s have it; a few bytes that would ask for gigabytes."""
    data = (videos / "a.mp4").read_bytes()
    place = data.rindex(b"avc1")
    (tmp_path / "encrypted.mp4").write_bytes(data[:place] + b"encv" + data[place + 4 :])
    Image.new("P", (8, 8)).save(tmp_path / "huge.gif")
    data = (tmp_path / "huge.gif").read_bytes()
    (tmp_path / "huge.gif").write_bytes(data[:6] + struct.pack("<HH", 65535, 65535) + data[10:])
    os.mkfifo(tmp_path / "pipe.mp4")
    for name, said in {
        "encrypted.mp4": "encrypted",
        "huge.gif": "picture too large (65535 x 65535 px)",
        "none.mp4": "no such file",
        ".": "not a regular file",
        "pipe.mp4": "not a regular file",
    }.items():
        assert reason(tmp_path / name) == said
    assert reason(cut(videos / "a.mp4", tmp_path / "a.mp4", 0.6)).startswith("truncated: the index")


@pytest.mark.parametrize("name", ["b.mkv", "c.avi", "e.ts", "fast.mp4"])
def test_truncated(videos: Path, tmp_path: Path, name: str) -> None:
    path = cut(videos / name, tmp_path / name, 0.6)
    facts = survey_video(path)
    assert 0 < facts.frames < 30
    assert re.match(rf"truncated: .*\b{facts.frames} ", facts.damage)
    assert name != "fast.mp4" or facts.damage == f"truncated: {facts.frames} of 30 frames"
    with pytest.raises(DataError, match="truncated"):
        probe_video(path)
    sound = decode_frames(path, range(facts.frames))
    assert [read_number(frame) for frame in sound] == list(range(facts.frames))
    with pytest.raises(DataError, match=f"truncated.*no frame {facts.frames} "):
        decode_frames(path, [facts.frames])


@pytest.mark.parametrize("name", ["a.mp4", "g.mp4", "c.avi"])
def test_damage_in_the_middle(videos: Path, tmp_path: Path, name: str) -> None:
    """What comes after the first damage is not used, even if something can be made of it."""
    facts = survey_video(overwrite(videos / name, tmp_path / name, 0.6, 0.1))
    assert facts.damage == f"damaged: {facts.frames} of 30 frames"
    assert 0 < facts.frames < 30
    frames = decode_frames(tmp_path / name, range(facts.frames))
    assert [read_number(frame) for frame in frames] == list(range(facts.frames))


def test_names_are_shown_escaped(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[31m\nb.mp4"
    path.write_bytes(b"x")
    with pytest.raises(BikeError) as caught:
        probe_video(path)
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\\x1b" in str(caught.value)


def test_a_path_holds_in_the_folder_of_the_caller(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The helper process began in another folder, and stays there."""
    probe_video(videos / "a.mp4")
    (tmp_path / "b.mp4").write_bytes((videos / "a.mp4").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert probe_video("b.mp4").frames == probe_video(VideoFile("b.mp4")).frames == 30
