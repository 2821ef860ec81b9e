"""Seeking gives the pictures of decoding it all, or nothing: many kinds of clips, frame by frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from helpers.videos import cut, make_video, overwrite, read_number

from bike.errors import DataError
from bike.files.names import is_video
from bike.predict.footage import Footage, plan_video
from bike.predict.seek import UntrustedError, plan_seeks, read_sought
from bike.video.decode import decode_frames, survey_video
from bike.video.file import UnreadableError, VideoFile
from bike.video.stream import open_video

NUM_FRAMES = 40


def x264(gop: int, b_frames: int, *, open_gop: bool = False, more: str = "") -> dict[str, Any]:
    words = f"keyint={gop}:min-keyint=1:scenecut=0:bframes={b_frames}:b-adapt=0:open-gop={int(open_gop)}:b-pyramid=0"
    return {"options": {"preset": "veryfast", "x264-params": words + more}}


TRUSTED = {
    f"{kind}, GOP {gop}, {b_frames} B{', open' * opened}": (f"a.{kind}", x264(gop, b_frames, open_gop=opened))
    for kind in ("mp4", "mkv", "ts", "mov")
    for gop, b_frames, opened in ((1, 0, False), (7, 0, False), (7, 2, False), (250, 3, False), (7, 2, True))
} | {
    "AVI, H.264 without B": ("a.avi", x264(7, 0)),
    "AVI, MJPEG": ("a.avi", {"codec": "mjpeg", "pixels": "yuvj420p", "full_range": True}),
    "MPEG-2 stream": ("a.ts", {"codec": "mpeg2video", "fps": 25, "options": {"g": "9", "bf": "2"}}),
    "WebM, VP9 with hidden pictures": (
        "a.webm",
        {"codec": "libvpx-vp9", "options": {"g": "10", "auto-alt-ref": "1", "lag-in-frames": "16"}},
    ),
    "MP4, HEVC, open": (
        "a.mp4",
        {"codec": "libx265", "options": {"x265-params": "keyint=10:open-gop=1:bframes=3:log-level=none"}},
    ),
    "fragments": ("a.mp4", {**x264(7, 2), "container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    "variable rate": ("a.mkv", {**x264(7, 2), "times": [n * 40 + n % 3 * 13 for n in range(NUM_FRAMES)]}),
}


@pytest.mark.parametrize("name", TRUSTED)
def test_every_picture_is_that_of_decoding_it_all(name: str, tmp_path: Path) -> None:
    file, settings = TRUSTED[name]
    video = VideoFile(str(make_video(tmp_path / file, NUM_FRAMES, **settings)))
    expected = decode_frames(video, range(NUM_FRAMES))
    with video.open() as opened, open_video(opened) as stream:
        times = [stream.moment_seconds for _ in stream.frames()]
        rate = stream.fps()
    plan = plan_seeks(video)
    assert plan.seconds.tolist() == pytest.approx(times, abs=2e-3)
    assert plan.fps == pytest.approx(rate, rel=1e-3)
    for index in range(NUM_FRAMES):
        (found,), packets = read_sought(video, plan, [index], None)
        assert np.array_equal(found, expected[index]), index
        assert read_number(found) == index
        key = plan.keys[plan.keys[:, 0] <= plan.stamps[index], 0][-1]
        assert packets <= index - int(np.searchsorted(plan.stamps, key)) + 14  # with the first picture, and some ahead
    for some in ([39, 3, 20, 20], list(range(NUM_FRAMES))):
        assert np.array_equal(read_sought(video, plan, some, None)[0], expected[some])
    small = decode_frames(video, [30], short_side=24)
    assert np.array_equal(read_sought(video, plan, [30], 24)[0], small)


UNTRUSTED = {
    "AVI, H.264 with B": ("a.avi", x264(7, 2)),
    "AVI, MPEG-4": ("a.avi", {"codec": "mpeg4", "options": {"g": "9"}}),
    "MP4, MPEG-4 with B": ("a.mp4", {"codec": "mpeg4", "options": {"g": "9", "bf": "2"}}),
    "a codec with pictures that are not shown": ("a.webm", {"codec": "libvpx", "options": {"auto-alt-ref": "1"}}),
    "another container": ("a.flv", x264(7, 0)),
    "pictures far apart": ("a.mkv", {**x264(7, 0), "times": [n * 40 + n // 20 * 20_000 for n in range(NUM_FRAMES)]}),
}


@pytest.mark.parametrize("name", UNTRUSTED)
def test_where_packets_do_not_say_surely_it_is_decoded_whole(name: str, tmp_path: Path) -> None:
    file, settings = UNTRUSTED[name]
    video = VideoFile(str(make_video(tmp_path / file, NUM_FRAMES, **settings)))
    with pytest.raises(UntrustedError):
        plan_seeks(video)
    assert not len(plan_video(video).keys)
    footage = Footage(video)
    assert len(footage.seconds) == NUM_FRAMES
    assert [read_number(frame) for frame in footage.frames([33, 0, 7])] == [33, 0, 7]
    assert footage.num_packets == 0


@pytest.mark.parametrize(
    "more", [":intra-refresh=1", ":interlaced=1"], ids=["refreshed bit by bit, without key pictures", "interlaced"]
)
@pytest.mark.parametrize("kind", ["mp4", "ts"])
def test_a_picture_that_is_not_where_the_plan_says(kind: str, more: str, tmp_path: Path) -> None:
    video = make_video(tmp_path / f"a.{kind}", NUM_FRAMES, **x264(8, 0, more=more))
    footage = Footage(video)
    expected = decode_frames(video, range(NUM_FRAMES))
    assert len(footage.seconds) == NUM_FRAMES
    for index in range(0, NUM_FRAMES, 3):
        assert np.array_equal(footage.frames([index])[0], expected[index])
    assert not len(footage._plan.keys)  # it was found out, and is not tried again


def copied(source: Path, target: Path, first: int, shift: int = 0, times: int = 1) -> Path:
    """The packets of a video from number ``first`` on, ``times`` times, each time ``shift`` ticks later."""
    with av.open(str(target), "w") as out:
        stream: Any = None
        for turn in range(times):
            with av.open(str(source)) as video:
                stream = stream or out.add_stream_from_template(video.streams.video[0])
                for number, packet in enumerate(video.demux(video.streams.video[0])):
                    if number >= first and packet.size:
                        packet.pts += turn * shift
                        packet.dts += turn * shift
                        packet.stream = stream
                        out.mux(packet)
    return target


@pytest.mark.parametrize("kind", ["ts", "mkv", "mp4"])
def test_a_recording_that_begins_in_the_middle(kind: str, tmp_path: Path) -> None:
    whole = make_video(tmp_path / f"whole.{kind}", NUM_FRAMES, **x264(10, 2))
    video = copied(whole, tmp_path / f"a.{kind}", 4)
    facts = survey_video(video)
    if facts.damage:
        with pytest.raises(DataError):
            Footage(video)
        return
    footage = Footage(video)
    assert len(footage.seconds) == facts.frames
    assert np.array_equal(footage.frames(range(facts.frames)), decode_frames(video, range(facts.frames)))


def test_a_clock_that_starts_anew(tmp_path: Path) -> None:
    part = make_video(tmp_path / "part.ts", NUM_FRAMES, **x264(10, 2))
    video = tmp_path / "joined.ts"
    video.write_bytes(part.read_bytes() * 2)
    footage = Footage(video)
    assert len(footage.seconds) == survey_video(video).frames
    assert (np.diff(footage.seconds) > 0).all()
    assert [read_number(frame) for frame in footage.frames([5, 45])] == [5, 5]


def test_pictures_that_an_edit_list_hides_do_not_count(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", NUM_FRAMES, **x264(10, 2))
    data = bytearray(whole.read_bytes())
    place = data.index(b"elst") + 4
    length, media_time = place + 8, place + 12
    ticks = int.from_bytes(data[media_time : media_time + 4], "big")
    with av.open(str(whole)) as opened:
        frame_ticks = round(Fraction(1, 10) / opened.streams.video[0].time_base)
    data[media_time : media_time + 4] = (ticks + 13 * frame_ticks).to_bytes(4, "big")
    data[length : length + 4] = (int.from_bytes(data[length : length + 4], "big") * 27 // 40).to_bytes(4, "big")
    (tmp_path / "a.mp4").write_bytes(data)
    expected = decode_frames(tmp_path / "a.mp4", range(27))
    assert read_number(expected[0]) == 13
    footage = Footage(tmp_path / "a.mp4")
    assert len(footage.seconds) == survey_video(tmp_path / "a.mp4").frames == 27
    assert np.array_equal(footage.frames(range(27)), expected)
    assert np.array_equal(footage.frames([20])[0], expected[20])


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "avi"])
def test_a_file_that_is_cut_off_is_found_out(kind: str, tmp_path: Path) -> None:
    settings = {**x264(7, 0), "container_options": {"movflags": "faststart"} if kind == "mp4" else None}
    video = cut(make_video(tmp_path / f"whole.{kind}", NUM_FRAMES, **settings), tmp_path / f"a.{kind}", 0.6)
    with pytest.raises(DataError, match=r"a\.\w+: truncated"):
        Footage(video)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "avi"])
def test_damage_gives_no_wrong_picture(kind: str, tmp_path: Path) -> None:
    whole = make_video(tmp_path / f"whole.{kind}", NUM_FRAMES, **x264(7, 0))
    video = overwrite(whole, tmp_path / f"a.{kind}", 0.5, 0.1)
    expected = decode_frames(whole, range(NUM_FRAMES))
    try:
        footage = Footage(video)
    except DataError as error:
        assert "damaged" in str(error) or "truncated" in str(error)  # noqa: PT017
        return
    outcomes = set()
    for index in range(NUM_FRAMES):
        try:
            assert np.array_equal(footage.frames([index])[0], expected[index])
            outcomes.add("right")
        except DataError:
            outcomes.add("refused")
    assert outcomes == {"right", "refused"}


def test_a_long_video_costs_what_is_looked_at(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", 1000, **x264(25, 2))
    footage = Footage(video)
    wanted = [125 * number for number in range(8)]
    assert [read_number(frame) for frame in footage.frames(wanted)] == wanted
    assert 0 < footage.num_packets < 100  # a tenth of a thousand


@pytest.mark.slow
def test_real_videos(shared: Path) -> None:
    """As many pictures as decoding gives, and the same ones; what can't be read is refused either way."""
    sought = 0
    for path in sorted(path for path in (shared / "videos").rglob("*.*") if is_video(path.name)):
        try:
            facts = survey_video(path)
        except UnreadableError:
            facts = None
        try:
            footage = Footage(path, short_side=64)
        except DataError:
            assert facts is None or facts.damage, path
            continue
        assert facts is not None, path
        assert (len(footage.seconds), facts.damage) == (facts.frames, ""), path
        wanted = [facts.frames - 1, facts.frames // 2, facts.frames // 3]
        assert np.array_equal(footage.frames(wanted), decode_frames(path, wanted, short_side=64)), path
        sought += footage.num_packets > 0
    assert sought > 20
