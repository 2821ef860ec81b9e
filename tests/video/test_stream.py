"""One pass over files whose clocks, counters, tracks and ends are not as they should be."""

from __future__ import annotations

import io
import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from helpers.videos import make_video, read_number

from bike.extract.ffmpeg import ffmpeg_binary
from bike.extract.rate import resample
from bike.video.decode import decode_frames, probe_video, survey_video
from bike.video.file import UnreadableError, VideoFile
from bike.video.stream import open_video


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([ffmpeg_binary(), "-v", "error", "-y", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL)


def make(path: Path, *options: str, seconds: int = 2, sound: bool = False) -> Path:
    """A small film at 25 frames a second by the ffmpeg program."""
    source = ["-f", "lavfi", "-i", f"testsrc=s=96x64:r=25:d={seconds}"]
    source += ["-f", "lavfi", "-i", f"sine=d={seconds}"] if sound else []
    ffmpeg(*source, "-threads", "1", "-g", "25", *options, path)
    return path


def resampled(path: Path, fps: float) -> int:
    """How many frames ``bike extract --fps`` makes of a video."""
    with VideoFile(str(path)).open() as file, open_video(file) as video:
        timed = ((frame, video.moment_seconds) for frame in video.frames())
        return sum(copies for _, copies in resample(timed, fps, video.frame_seconds))


# Clocks


@pytest.mark.parametrize("start", [0, 3000, 90_000, 95_443.7176])
@pytest.mark.parametrize("ending", ["mpg", "vob", "ts"])
def test_clocks_that_restart_or_jump(tmp_path: Path, ending: str, start: float) -> None:
    """Recordings put end to end; the last start is just before the clock of 33 bits wraps."""
    options = ["-c:v", "mpeg2video", "-muxdelay", "0.5"]
    first = make(tmp_path / f"a.{ending}", *options, "-output_ts_offset", str(start))
    second = make(tmp_path / f"b.{ending}", *options)
    joined = tmp_path / f"c.{ending}"
    joined.write_bytes(first.read_bytes() + second.read_bytes() + first.read_bytes())
    facts = probe_video(joined)
    assert (facts.frames, facts.fps) == (150, 25.0)
    assert abs(resampled(joined, 2) - 12) <= 1
    assert abs(resampled(joined, 25) - 150) <= 1


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_hole_of_an_hour_is_not_filled(tmp_path: Path, ending: str) -> None:
    times = [*range(0, 2000, 40), *range(3_602_000, 3_604_000, 40)]
    video = make_video(tmp_path / f"a.{ending}", 100, fps=25, times=times)
    assert probe_video(video).fps == pytest.approx(25, rel=0.02)
    assert resampled(video, 2) == pytest.approx(8, abs=1)


def test_a_picture_may_stand_for_a_minute(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mkv", 4, fps=25, times=[0, 40, 60_040, 60_080])
    assert resampled(video, 1) == pytest.approx(60, abs=1)


@pytest.mark.parametrize("fps", [10, 24, 25, 30])
@pytest.mark.parametrize(
    "name",
    [
        "RATRACE_wave_f_nm_np1_fr_goo_37.avi",
        "SchoolRulesHowTheyHelpUs_wave_f_nm_np1_ba_med_0.avi",
        "TrumanShow_wave_f_nm_np1_fr_med_26.avi",
    ],
)
def test_packed_b_frames_are_resampled_as_by_ffmpeg(shared: Path, name: str, fps: int) -> None:
    video = shared / "videos/torchvision" / name
    command = [ffmpeg_binary(), "-v", "error", "-i", video, "-vf", f"fps={fps}", "-f", "framecrc", "-"]
    lines = subprocess.run(command, capture_output=True, check=True).stdout.splitlines()
    theirs = sum(not line.startswith(b"#") for line in lines)
    assert abs(resampled(video, fps) - theirs) <= (fps != 30)  # at their own rate exactly; else the last may round up


# Transport streams


def restart_counters(data: bytes, by: int) -> bytes:
    """A transport stream whose continuity counters are all moved on."""
    packets = bytearray(data)
    for start in range(0, len(packets), 188):
        packets[start + 3] = packets[start + 3] & 0xF0 | (packets[start + 3] + by) & 0x0F
    return bytes(packets)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_joined_segments_are_sound_where_the_pictures_are(tmp_path: Path, codec: str) -> None:
    noise = ["-vf", "noise=alls=30:allf=t", "-pix_fmt", "yuv420p"]  # several packets a picture
    data = make(tmp_path / "a.ts", *noise, "-c:v", codec, "-bf", "0", seconds=4).read_bytes()
    packets = [data[start : start + 188] for start in range(0, len(data), 188)]
    of_film = [n for n, packet in enumerate(packets) if int.from_bytes(packet[1:3], "big") & 0x1FFF == 256]
    starts = [n for n in of_film if packets[n][1] & 0x40]  # where pictures begin; every 25th is a key frame
    (tmp_path / "joined.ts").write_bytes(
        b"".join(packets[: starts[50]]) + restart_counters(b"".join(packets[starts[50] :]), 5)
    )
    assert probe_video(tmp_path / "joined.ts").frames == 100
    # Packets that are missing within a picture, and whole pictures missing between two key frames, are damage.
    for first, last in ((starts[60] + 1, starts[60] + 3), (starts[60], starts[63])):
        lost = tmp_path / "lost.ts"
        lost.write_bytes(b"".join(packets[:first] + packets[last:]))
        facts = survey_video(lost)
        assert facts.damage == f"damaged: {facts.frames} frames, then the data is broken"
        assert 56 <= facts.frames <= 60
        whole, part = (decode_frames(path, range(facts.frames)) for path in (tmp_path / "a.ts", lost))
        assert (whole == part).all()


# Ends

CONTAINERS = {
    "whole.mp4": ["-c:v", "libx264", "-movflags", "faststart"],
    "fragments.mp4": ["-c:v", "libx264", "-movflags", "frag_keyframe+empty_moov+default_base_moof"],
    "indexed.mp4": ["-c:v", "libx264", "-movflags", "dash+global_sidx"],
    "a.mkv": ["-c:v", "libx264"],
    "a.webm": ["-c:v", "libvpx"],
    "a.avi": ["-c:v", "mpeg4"],
    "a.flv": ["-c:v", "flv"],
    "a.wmv": ["-c:v", "wmv2"],
    "a.mxf": ["-c:v", "mpeg2video"],
    "a.ivf": ["-c:v", "libvpx"],
    "a.rm": ["-c:v", "rv10"],
    "a.gif": [],
    "a.apng": ["-f", "apng"],
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_missing_end_shows_wherever_it_is_cut(tmp_path: Path, name: str) -> None:
    """Cuts all over the file: what still opens and lacks more than half a second says so."""
    data = make(tmp_path / name, *CONTAINERS[name], seconds=3).read_bytes()
    assert (facts := probe_video(data)).frames == 75
    assert facts.damage == ""
    opened = 0
    for share in range(6, 100, 3):
        try:
            facts = survey_video(data[: len(data) * share // 100])
        except UnreadableError:
            continue
        opened += 1
        assert facts.damage or facts.frames > 60, share
    assert opened or name in ("a.apng",)


@pytest.mark.parametrize("name", ["a.mkv", "a.webm"])
def test_a_hole_that_the_reader_skips_ends_what_is_sound(tmp_path: Path, name: str) -> None:
    """Matroska goes on behind broken data as if nothing were missing: no frame number may move."""
    data = make(tmp_path / name, *CONTAINERS[name], seconds=3).read_bytes()
    whole = decode_frames(data, range(75))
    for share in (45, 60, 75):
        start = len(data) * share // 100
        spoilt = data[:start] + bytes(len(data) // 10) + data[start + len(data) // 10 :]
        facts = survey_video(spoilt)
        assert facts.damage, share
        assert 0 < facts.frames < 75, share
        sound = range(facts.frames - 1)  # VP8 does not notice what is wrong with the picture before the hole
        assert (decode_frames(spoilt, sound) == whole[: len(sound)]).all(), share


def test_fragments_that_end_between_two_boxes(tmp_path: Path) -> None:
    """A duration in ``mehd``, as packagers write it, is a promise too."""
    data = make(tmp_path / "a.mp4", *CONTAINERS["fragments.mp4"], seconds=3).read_bytes()
    cut = data[: data.index(b"moof", data.index(b"moof") + 4) - 4]
    assert survey_video(cut).damage == ""  # nothing says that more was to come
    scale = int.from_bytes(cut[cut.index(b"mvhd") + 16 : cut.index(b"mvhd") + 20], "big")
    stated = (16).to_bytes(4, "big") + b"mehd" + bytes(4) + (3 * scale).to_bytes(4, "big")
    promised = bytearray(cut.replace(b"mvex", b"mvex" + stated))
    for kind in (b"mvex", b"moov"):
        start = promised.index(kind) - 4
        promised[start : start + 4] = (int.from_bytes(promised[start : start + 4], "big") + 16).to_bytes(4, "big")
    assert survey_video(bytes(promised)).damage == "truncated: 25 of about 75 frames"


@pytest.mark.parametrize("name", ["a.flv", "fragments.mp4"])
def test_a_longer_sound_track_is_no_missing_end(tmp_path: Path, name: str) -> None:
    sound = make(tmp_path / "sound.mkv", "-c:v", "libx264", seconds=9, sound=True)
    film = make(tmp_path / "film.mkv", "-c:v", "libx264", seconds=2)
    options = ["-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", "-ar", "44100", *CONTAINERS[name][2:]]
    ffmpeg("-i", film, "-i", sound, *options, tmp_path / name)
    assert probe_video(tmp_path / name).frames == 50


# Tracks and sizes


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("film_first", [False, True])
def test_a_picture_never_wins_over_a_film(tmp_path: Path, ending: str, film_first: bool) -> None:
    film = make_video(tmp_path / f"film.{ending}", 12)
    picture = make_video(tmp_path / f"still.{ending}", 1, codec="mjpeg", pixels="yuvj420p", width=320, height=240)
    order = (film, picture) if film_first else (picture, film)
    both = tmp_path / f"both.{ending}"
    options = ["-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0", "default", "-disposition:v:1", "0"]
    ffmpeg("-i", order[0], "-i", order[1], *options, both)
    with both.open("rb") as file, open_video(file) as video:
        assert sum(1 for _ in video.frames()) == 12
        remarks = ("", "video track 1 of 2 taken") if film_first else ("video track 2 of 2 taken",)
        assert video.remark in remarks
    assert [read_number(frame) for frame in decode_frames(both, range(12))] == list(range(12))


def test_two_films_are_told(tmp_path: Path) -> None:
    films = [make_video(tmp_path / f"{size}.mp4", 12, width=size) for size in (80, 160)]
    both = tmp_path / "both.mp4"
    ffmpeg("-i", films[0], "-i", films[1], "-map", "0", "-map", "1", "-c", "copy", both)
    with both.open("rb") as file, open_video(file) as video:
        list(video.frames())
        assert video.remark.endswith(" of 2 taken")


def test_a_size_that_changes_is_told_once_for_each_change(tmp_path: Path) -> None:
    parts = []
    for width, height in ((96, 64), (64, 96), (96, 64)):
        part = make_video(tmp_path / "part.h264", 5, width=width, height=height, options={"bf": "0"})
        parts.append(part.read_bytes())
    with av.open(io.BytesIO(b"".join(parts)), format="h264") as source, av.open(str(tmp_path / "a.ts"), "w") as target:
        out = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            packet.stream = out
            packet.pts = packet.dts = 9000 * number
            target.mux(packet)
    with (tmp_path / "a.ts").open("rb") as file, open_video(file) as video:
        list(video.frames())
        assert video.remark == (
            "the picture changes from 96 x 64 to 64 x 96 px at frame 5; "
            "the picture changes from 64 x 96 to 96 x 64 px at frame 10"
        )


def test_a_track_that_turns_up_later_is_damage(tmp_path: Path) -> None:
    """PyAV's own IndexError, which damage in a transport stream brought about."""
    path = make_video(tmp_path / "a.ts", 12)

    class Container:
        def __init__(self, real: Any) -> None:
            self.real = real

        def demux(self, stream: Any) -> Iterator[Any]:
            yield from itertools.islice(self.real.demux(stream), 6)
            raise IndexError("list index out of range")

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

    with path.open("rb") as file, open_video(file) as video:
        video._container = Container(video._container)
        assert 0 < len(list(video.frames())) < 12
        assert video.damage
