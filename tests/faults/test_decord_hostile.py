"""Files that lead decord elsewhere, or of which it shows other pictures: they don't reach it, or it is not believed."""

from __future__ import annotations

from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from helpers.servers import Server
from helpers.videos import make_video, numbered_picture, overwrite, read_number

from bike.errors import DataError
from bike.video.decode import decode_frames
from bike.video.decord import decode_with_decord
from bike.video.file import UnreadableError

decord = pytest.importorskip("decord")


HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{place}\n#EXT-X-ENDLIST\n"


def hide(playlist: str, place: object, stream: Path) -> None:
    """Put a playlist that leads to ``place`` in front of a transport stream, in whole packets."""
    front = playlist.format(place=place).encode()
    stream.write_bytes(
        front.ljust(-(-len(front) // 188) * 188) + make_video(stream.with_name("own.ts"), 12).read_bytes()
    )


@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".m3u8"])
@pytest.mark.parametrize(
    "playlist",
    [
        HLS,
        "ffconcat version 1.0\nfile '{place}'\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{place}</BaseURL></MPD>',
    ],
)
def test_playlists_in_front_of_a_transport_stream(tmp_path: Path, playlist: str, suffix: str) -> None:
    """PyAV takes them for the transport stream that they are; decord's own reader followed them."""
    secret = make_video(tmp_path / "secret.ts", 12, pictures=[numbered_picture(77)] * 12)
    video = tmp_path / f"a{suffix}"
    with closing(Server(tmp_path)) as server:
        for place in (f"{server.url}/secret.ts", secret):
            hide(playlist, place, video)
            with pytest.raises(DataError, match="decord is not used for this container|not a video"):
                decode_frames(video, [0], backend="decord")
        assert server.requests == []


def test_without_the_guard_decord_asks_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the tests here can fail: decord does follow the hidden playlist, and its request is seen."""
    make_video(tmp_path / "secret.ts", 12)
    with closing(Server(tmp_path)) as server:
        hide(HLS, f"{server.url}/secret.ts", tmp_path / "a.ts")
        expected = decode_frames(tmp_path / "a.ts", [0])
        assert server.requests == []  # PyAV sees the stream alone
        monkeypatch.setattr("bike.video.decord.is_indexed", lambda start: True)
        with (tmp_path / "a.ts").open("rb") as file, suppress(UnreadableError):
            decode_with_decord(file, [0], expected)
        assert server.count("secret.ts") > 0


def test_playlists_within_a_container_are_not_followed(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", 12)
    with closing(Server(tmp_path)) as server:
        text = f'#EXTM3U\n{server.url}/a.mp4\n<MPD profiles="dash:profile:isoff-on-demand:2011">'.encode()
        free = (len(text) + 8).to_bytes(4, "big") + b"free" + text
        whole = make_video(
            tmp_path / "b.mp4", 12, container_options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        )
        data = whole.read_bytes()
        end = int.from_bytes(data[:4], "big")
        video.write_bytes(data[:end] + free + data[end:])
        frames = decode_frames(video, [3, 7], backend="decord")
        assert server.requests == []
    assert [read_number(frame) for frame in frames] == [3, 7]


def test_other_pictures_are_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = make_video(tmp_path / "a.mp4", 4)
    numbers, real = count(), decord.VideoReader.next

    def inverts_the_last(self: object) -> object:
        frame = real(self)
        return decord.nd.array(255 - frame.asnumpy()) if next(numbers) == 2 else frame

    monkeypatch.setattr(decord.VideoReader, "next", inverts_the_last)
    expected = decode_frames(video, [0, 2])
    with video.open("rb") as file, pytest.raises(UnreadableError, match="frame 2 is another picture than pyav's"):
        decode_with_decord(file, [0, 2], expected)
    monkeypatch.undo()
    with video.open("rb") as file:
        frames = decode_with_decord(file, [0, 2], expected)
    assert np.abs(frames.astype(float) - expected).mean() < 3


@pytest.mark.parametrize("name", ["a.mpg", "a.ts", "a.mkv"])
def test_frames_that_pyav_does_not_have_or_has_otherwise_are_refused(tmp_path: Path, name: str) -> None:
    """decord patches up what is damaged, and gives pictures of MPEG's streams in the place of others."""
    video = make_video(tmp_path / name, 60, codec="mpeg2video", pixels="yuv420p")
    if name == "a.mkv":
        overwrite(video, video, 0.5, 0.1)
    with pytest.raises(DataError, match="not used for this container|(damaged|truncated): .* no frame 40"):
        decode_frames(video, [0, 40], backend="decord")
