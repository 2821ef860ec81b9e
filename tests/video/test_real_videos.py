"""Real and awkward videos: each ends as accepted with the right number of frames, or rejected with the right reason.

The counts were checked against two other decoders (ffmpeg's command line with ``-fps_mode passthrough -f null``, and
decord where it opens the file and does not hang), not taken from the headers, which are wrong for a fifth of the files.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers.videos import read_pack

from bike.extract.ffmpeg import ffmpeg_binary
from bike.extract.run import extract_videos
from bike.formats.packs import scan_offsets
from bike.params import Extract
from bike.records import VideoRecord
from bike.video.decode import decode_frames, probe_video

# Path -> frames, width and height of the pack (short side at most 256 px, square pixels, upright), or the reason.
EXPECTED: dict[str, tuple[int, int, int] | str] = {
    "PaddleVideo/example.avi": (131, 320, 240),
    "decord/corrupted.mp4": "damaged: 28 of 50 frames",  # broken NAL units in the middle
    "decord/flipping_a_pancake.mkv": (310, 426, 240),
    "decord/unordered.mov": (4, 50, 50),
    "decord/video_0.mov": (3, 454, 256),
    "decord/video_180.mov": (3, 454, 256),
    "decord/video_270.mov": (3, 256, 454),
    "decord/video_90.mov": (3, 256, 454),  # rotated, as is 270
    "hf-datasets/test_video_66x50.mov": (82, 66, 50),  # edit list: 87 stored
    "hiera/dog.mp4": (150, 256, 256),
    "hiera/goat.mp4": (150, 256, 256),
    "imageio-binaries/cockatoo.mp4": (280, 456, 256),
    "imageio-binaries/newtonscradle.gif": (36, 200, 150),
    "imageio-binaries/realshort.mp4": (36, 320, 240),
    "mathiasbynens-small/FlashVideo.flv": "truncated: the file ends before its first frame",
    "mathiasbynens-small/WindowsMediaVideo.wmv": "no frames: the video stream is empty",
    "mathiasbynens-small/gif.gif": "no frames: the video stream is empty",
    "mathiasbynens-small/webm.webm": (1, 8, 8),
    "mmaction2/demo.mp4": (280, 426, 256),  # 340 x 256 of 64:51 pixels
    "moviepy/-video-with-dash-.mp4": (5, 1, 1),
    "moviepy/big_buck_bunny_432_433.webm": (24, 456, 256),
    "moviepy/bitmap.mp4": (5, 1, 1),
    "moviepy/circle.gif": (30, 128, 128),
    "moviepy/example.mp4": (50, 342, 256),
    "moviepy/example2.mp4": (48, 456, 256),
    "moviepy/example3.mp4": (48, 456, 256),
    "moviepy/example_mask.mp4": (300, 200, 200),
    "moviepy/no_duration.webm": (74, 456, 256),
    "moviepy/pigs_in_a_polka.gif": (30, 294, 256),
    "moviepy/result.mp4": (250, 342, 256),
    "moviepy/result.webm": "empty file (0 bytes)",
    "moviepy/smpte-2997.mp4": (251, 456, 256),
    "moviepy/test_video.mp4": (5, 1, 1),
    "moviepy/transparent.webm": (150, 200, 200),
    "moviepy/video_with_failing_audio.mp4": (280, 456, 256),
    "mp4parse-rust/afconvert-aac-0.5s.mp4": "no video stream (audio only)",
    "mp4parse-rust/amr_wb_1f.3gp": "no video stream (audio only)",
    "mp4parse-rust/bbb_sunflower_QCIF_30fps_mp4v_noaudio_1f.mp4": (1, 256, 144),
    "mp4parse-rust/bipbop_480wp_1001kbps-cenc-video-key1-init.mp4": "encrypted",
    "mp4parse-rust/bipbop_audioinit.mp4": "no video stream (audio only)",
    "mp4parse-rust/bipbop_cbcs_video_init.mp4": "encrypted",
    "mp4parse-rust/bipbop_nonfragment_header.mp4": "truncated: 0 of 297 frames",
    "mp4parse-rust/hevc_white_frame.mp4": (1, 342, 256),
    "mp4parse-rust/metadata.mp4": (1, 320, 240),
    "mp4parse-rust/minimal.mp4": (1, 320, 240),
    "mp4parse-rust/no_timescale.mp4": "damaged: 0 of 150 frames",
    "mp4parse-rust/opus_audioinit_two_desc.mp4": "no video stream (audio only)",
    "mp4parse-rust/sine-3s-xhe-aac-44khz-mono.mp4": "no video stream (audio only)",
    "mp4parse-rust/test_case_1185230.mp4": "truncated: 0 of 10 frames",
    "mp4parse-rust/video_colr_nclx_and_icc.mp4": (3, 2, 2),
    "mp4parse-rust/video_colr_nclx_hdr10_full_range.mp4": (3, 2, 2),
    "mp4parse-rust/video_colr_nclx_hlg_full_range.mp4": (3, 2, 2),
    "mp4parse-rust/video_colr_nclx_two_colr.mp4": (3, 2, 2),
    "mp4parse-rust/white.mp4": (300, 320, 240),
    "opencv-doc/box.mp4": (455, 342, 256),  # edit list: 456 stored
    "opencv-doc/tree.avi": (68, 320, 240),  # 444 claimed, most of them repeats without data
    "torchcodec/av1_video.mkv": (125, 456, 256),
    "torchcodec/bt709_full_range.mp4": (30, 456, 256),
    "torchcodec/h264_10bits.mp4": (30, 200, 200),
    "torchcodec/h265_10bits.mp4": (30, 200, 200),
    "torchcodec/h265_video.mp4": (10, 128, 128),
    "torchvision/R6llTwEh07w.mp4": (303, 340, 256),
    "torchvision/RATRACE_wave_f_nm_np1_fr_goo_37.avi": (72, 560, 240),
    "torchvision/SOX5yA1l24A.mp4": (332, 340, 256),
    "torchvision/SchoolRulesHowTheyHelpUs_wave_f_nm_np1_ba_med_0.avi": (74, 320, 240),
    "torchvision/TrumanShow_wave_f_nm_np1_fr_med_26.avi": (48, 432, 240),
    "torchvision/hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi": (83, 320, 240),
    "torchvision/v_SoccerJuggling_g23_c01.avi": (240, 320, 240),
    "torchvision/v_SoccerJuggling_g24_c01.avi": (251, 320, 240),
    "zamba/04250002.MP4": (61, 106, 60),
    "zamba/EK000018.AVI": (55, 106, 60),
    "zamba/EK000019.AVI": (61, 106, 60),
    "zamba/PICT0146.AVI": (61, 106, 60),
    "zamba/PICT0265.AVI": (61, 106, 60),
    "zamba/chimp.mp4": (450, 320, 180),
}


# Small inputs that failed once: frames, rate and remark of each video, or why it is rejected.
CASES: dict[str, list[tuple[int, float, str]]] = {
    "01-vob-clock-restarts": [(225, 25.0, "")],
    "02-mpg-clock-jumps": [(150, 25.0, "")],
    "04-ts-segments-joined": [(200, 25.0, "")],
    "05-size-turns-mid-recording": [(50, 25.0, "the picture changes from 96 x 64 to 64 x 96 px at frame 25")],
    "07-thumbnail-track": [(25, 25.0, "video track 2 of 2 taken")],
    "08-gray-limited-range": [(10, 10.0, "")],
    "09-apng": [(25, 25.0, "")],
    "10-not-videos": [
        (0, 0.0, "not a video (a JSON document, such as a server's error message)"),
        (0, 0.0, "not a video (an HTML page)"),
        (0, 0.0, "not a video (a Git LFS pointer; run `git lfs pull`)"),
    ],
    "25-tar-joined": [(25, 25.0, ""), (25, 25.0, "")],
}


@pytest.mark.parametrize("case", CASES)
def test_cases_that_failed_once(shared: Path, tmp_path: Path, case: str) -> None:
    source = shared / "cases" / case
    if not source.is_dir():
        pytest.skip(f"{case} is not among the reference data")
    records = extract_videos(source, tmp_path, jobs=1)
    assert [(record.frames, record.fps, record.error) for record in records] == CASES[case]
    if case.startswith("02"):
        (record,) = extract_videos(source, tmp_path / "fps", jobs=1, options=Extract(fps=2))
        assert (record.frames, record.seconds) == (12, 6.0)
    if case.startswith("08"):
        assert read_pack(tmp_path / "white.mjpg", [0]).min() == 255


@pytest.fixture(scope="module")
def videos(shared: Path) -> Path:
    return shared / "videos"


@pytest.fixture(scope="module")
def extracted(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, VideoRecord]]:
    folder = tmp_path_factory.mktemp("frames")
    records = extract_videos(videos, folder, jobs=2)
    return folder, {record.path: record for record in records}


def test_every_file_ends_as_expected(extracted: tuple[Path, dict[str, VideoRecord]]) -> None:
    folder, records = extracted
    found = {
        path: (record.frames, record.width, record.height) if record.status == "ok" else record.error
        for path, record in records.items()
    }
    assert found == EXPECTED
    for record in records.values():
        if record.status == "ok":
            assert len(scan_offsets((folder / f"{record.key}.mjpg").read_bytes())) == record.frames + 1


def test_rates_are_those_of_the_pictures(extracted: tuple[Path, dict[str, VideoRecord]]) -> None:
    records = extracted[1]
    rates = {
        "torchvision/SOX5yA1l24A.mp4": 29.97003,
        "moviepy/no_duration.webm": 14.985015,
        "opencv-doc/tree.avi": 2.268612,  # 15 by the header
        "imageio-binaries/newtonscradle.gif": 43.75,  # 50 by the header
        "zamba/04250002.MP4": 1.0,
    }
    assert {path: records[path].fps for path in rates} == rates


def test_ffmpeg_gives_the_same_frames(
    videos: Path, extracted: tuple[Path, dict[str, VideoRecord]], tmp_path: Path
) -> None:
    folder, records = extracted
    others = extract_videos(videos, tmp_path, jobs=2, options=Extract(backend="ffmpeg"))
    facts = ("path", "status", "frames", "fps", "width", "height", "seconds", "error")
    for other in others:
        assert [getattr(other, name) for name in facts] == [getattr(records[other.path], name) for name in facts]
        if other.status == "ok":
            chosen = sorted({0, other.frames // 2, other.frames - 1})
            ours = read_pack(folder / f"{other.key}.mjpg", chosen).astype(float)
            theirs = read_pack(tmp_path / f"{other.key}.mjpg", chosen)
            assert np.abs(ours - theirs).mean() < 4, other.path  # two JPEG encoders on fine grain


def test_a_damaged_video_can_be_kept_in_part(videos: Path, tmp_path: Path) -> None:
    options = Extract(keep_partial=True)
    (record,) = extract_videos(videos / "decord" / "corrupted.mp4", tmp_path, options=options)
    assert (record.status, record.frames, record.error) == ("ok", 28, "damaged: 28 of 50 frames")


@pytest.mark.parametrize("name", ["video_0", "video_90", "video_180", "video_270"])
def test_rotation_is_what_ffmpeg_shows(videos: Path, extracted: tuple[Path, dict[str, VideoRecord]], name: str) -> None:
    """ffmpeg turns pictures by itself; extraction reads the display matrix and turns them itself."""
    ours = read_pack(extracted[0] / f"decord__{name}.mjpg", [0, 1, 2])
    count, height, width, _ = ours.shape
    command = [ffmpeg_binary(), "-v", "error", "-i", str(videos / "decord" / f"{name}.mov")]
    command += ["-vf", f"scale={width}:{height}", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    data = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout
    theirs = np.frombuffer(data, np.uint8).reshape(count, height, width, 3)
    assert np.abs(ours.astype(float) - theirs).mean() < 3


@pytest.mark.parametrize(
    "path",
    [
        "torchvision/R6llTwEh07w.mp4",
        "torchvision/v_SoccerJuggling_g23_c01.avi",
        "torchvision/TrumanShow_wave_f_nm_np1_fr_med_26.avi",
        "decord/video_90.mov",
        "mmaction2/demo.mp4",
        "moviepy/no_duration.webm",
        "moviepy/smpte-2997.mp4",
        "opencv-doc/box.mp4",
    ],
)
def test_direct_decoding_shows_what_the_pack_shows(
    videos: Path, extracted: tuple[Path, dict[str, VideoRecord]], path: str
) -> None:
    folder, records = extracted
    record = records[path]
    chosen = np.linspace(0, record.frames - 1, 4).astype(int).tolist()
    pack = read_pack(folder / f"{record.key}.mjpg", chosen)
    direct = decode_frames(videos / path, chosen, short_side=256)
    assert direct.shape == pack.shape
    assert np.abs(direct.astype(float) - pack).mean() < 3
    assert probe_video(videos / path).frames == record.frames


@pytest.mark.parametrize(
    "path",
    ["torchvision/TrumanShow_wave_f_nm_np1_fr_med_26.avi", "opencv-doc/box.mp4", "torchcodec/h265_video.mp4"],
)
def test_decord_gives_the_same_frame_numbers(videos: Path, path: str) -> None:
    """Files of which decord's own seeking returns other frames than asked for."""
    pytest.importorskip("decord")
    count = EXPECTED[path][0]
    chosen = [0, int(count) // 3, int(count) // 2, int(count) - 1]
    ours = decode_frames(videos / path, chosen, short_side=128)
    theirs = decode_frames(videos / path, chosen, short_side=128, backend="decord")
    assert np.abs(ours.astype(float) - theirs).mean(axis=(1, 2, 3)).max() < 2
