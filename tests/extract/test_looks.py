"""Copies of a video look like it after extraction, whatever was done to them; other videos do not."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.annotations import Desk, found
from helpers.places import shared_folder
from helpers.videos import make_video
from PIL import Image

from bike.annotate.audit import Audit
from bike.demo.clips import draw_clip, render_clip
from bike.demo.run import CLASS_NAMES, Clip, clip_generator
from bike.extract.looks import written_looks
from bike.extract.run import extract_videos
from bike.params import Extract

COPIES = {
    "coarse.avi": {"codec": "mpeg4", "options": {"q:v": "12", "flags": "+qscale", "global_quality": "1416"}},
    "half.mp4": {"options": {"crf": "32"}, "scale": 0.5},
    "large.mkv": {"scale": 1.5},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"b": "80k"}},
}


def clip(label: int, index: int) -> list[np.ndarray]:
    """Frames of the demo's clip of this class and number."""
    return list(render_clip(draw_clip(clip_generator(1, Clip("", label, "train", index)), label)))


def encode(path: Path, frames: list[np.ndarray], *, scale: float = 1, **options: object) -> Path:
    height, width = (2 * round(side * scale / 2) for side in frames[0].shape[:2])
    pictures = [np.asarray(Image.fromarray(frame).resize((width, height))) for frame in frames]
    return make_video(path, len(frames), fps=25, width=width, height=height, pictures=pictures, **options)  # type: ignore[arg-type]


def audit_of(folder: Path, videos: Path, splits: dict[str, str], **options: object) -> Audit:
    """What the audit says of these videos; ``splits`` says which are not for training."""
    extract_videos(videos, folder / "frames", jobs=1, options=Extract(short_side=64, **options))  # type: ignore[arg-type]
    names = [str(path.relative_to(videos)) for path in sorted(videos.rglob("*.*"))]
    rows = [(name, "run", splits.get(name, "train")) for name in names]
    return Desk(folder).csv([("path", "label", "split"), *rows], folder / "frames")


@pytest.mark.parametrize("options", [{}, {"backend": "ffmpeg"}, {"fps": 10.0}], ids=str)
def test_copies_are_found_among_the_demos_videos(tmp_path: Path, options: dict[str, object]) -> None:
    videos = tmp_path / "videos"
    for label, index in itertools.product((0, 1), range(2)):
        encode(videos / f"{label}-{index}.mp4", clip(label, index))
    for name, how in COPIES.items():
        encode(videos / name, clip(1, 1), **how)  # type: ignore[arg-type]
    audit = audit_of(tmp_path, videos, {"1-1.mp4": "test"}, **options)
    assert found(audit) == [("near_duplicate", "keep", name) for name in sorted(COPIES)]
    assert {row.detail for row in audit.findings} == {"looks like 1-1.mp4 in test"}


def test_the_demos_videos_do_not_look_alike(tmp_path: Path) -> None:
    for label in range(len(CLASS_NAMES)):
        encode(tmp_path / "videos" / f"{label}.mp4", clip(label, 0))
    encode(tmp_path / "videos/other.mp4", clip(0, 1))
    assert found(audit_of(tmp_path, tmp_path / "videos", {})) == []


def test_plain_videos_are_not_compared(tmp_path: Path) -> None:
    for level in (0, 128, 255):
        encode(tmp_path / "videos" / f"{level}.mp4", [np.full((48, 80, 3), level, np.uint8)] * 12)
    assert [kind for kind, _, _ in found(audit_of(tmp_path, tmp_path / "videos", {}))] == ["not_compared"] * 3


@pytest.mark.parametrize("frames", [1, 3, 20])
@pytest.mark.parametrize("side", [4, 48])
def test_small_and_short_videos_have_a_hash_too(tmp_path: Path, frames: int, side: int) -> None:
    """Read again, in packs and in folders, it is nearly the one that was made along the way."""
    pictures = [np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)] * frames
    video = encode(tmp_path / "a.mp4", pictures)
    for layout in ("packs", "folders"):
        (record,) = extract_videos(video, tmp_path / layout, jobs=1, layout=layout)  # type: ignore[arg-type]
        again = written_looks(tmp_path / layout, record.key, layout)  # type: ignore[arg-type]
        assert (int(record.picture_hash, 16) ^ int(again, 16)).bit_count() < 20
        assert len(record.picture_hash) == 64


def test_real_videos_of_one_place_do_not_look_alike(tmp_path: Path) -> None:
    """One still camera, and the same people: the two that look most alike of all are among these."""
    shared = shared_folder()
    if shared is None or not (shared / "ut_interaction").is_dir():
        pytest.skip("no UT-Interaction videos in ../shared")
    for action in ("kicking", "punching"):
        shutil.copytree(shared / "ut_interaction/videos/set1" / action, tmp_path / "videos" / action)
    assert found(audit_of(tmp_path, tmp_path / "videos", {})) == []
