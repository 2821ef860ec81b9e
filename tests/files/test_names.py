"""What a path says: which files are videos, which paths lead out, which key a video gets."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bike.annotate.media import read_media
from bike.errors import BikeError
from bike.files.names import VIDEO_SUFFIXES, beside, is_video, leads_out, split_extension, video_keys
from bike.frames.open import open_source
from bike.frames.remote import shard_cache
from bike.model.formats.official import weights_folder
from bike.records import Sample
from bike.video.find import find_videos


@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_every_command_sees_the_same_videos(tmp_path: Path, change: type[str]) -> None:
    """Extraction and sharding look with find_videos, annotation with read_media, evaluation with open_source."""
    names = [f"v{suffix[1:]}{change(suffix)}" for suffix in sorted(VIDEO_SUFFIXES)]
    for name in [*names, "notes.txt", "mp4", ".mp4", "a.mp4.part"]:
        (tmp_path / name).write_bytes(b"x")
    assert [video.path for video in find_videos(tmp_path)] == names
    assert [record.path for record in read_media(tmp_path).records] == names
    samples = [Sample(name, name, name, (), 1) for name in names]
    assert set(open_source(tmp_path, samples)._files) == set(names)  # type: ignore[attr-defined]


def test_only_the_ending_of_a_video_is_split_off() -> None:
    names = ["a.mp4", "a/B.DIVX", "a.b.qt", "a.01", "a", "a/.mp4", ".mp4", "a.mp4/b", "a.jpg"]
    assert [split_extension(name) for name in names] == ["a", "a/B", "a.b", *names[3:]]
    assert [is_video(name) for name in names] == [True, True, True] + [False] * 6


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/b.mp4", False),
        ("a..b/..c.mp4", False),
        ("./a.mp4", False),
        ("a\\..\\b.mp4", False),  # a backslash is a letter like others where bike runs
        ("", True),
        ("/a.mp4", True),
        ("..", True),
        ("../a.mp4", True),
        ("a/..", True),
        ("a/../b.mp4", True),
        ("a/../../b.mp4", True),
        ("a\0.mp4", True),
    ],
)
def test_paths_that_lead_out_of_their_folder(path: str, expected: bool) -> None:
    assert leads_out(path) is expected


AWKWARD = [
    "a b.mp4",
    "a#!&;().mp4",
    "-x.mp4",
    "é.mp4",
    "x\udcff.mp4",
    "l" * 200 + ".mp4",
    "A.mp4",
    "a.mp4",
    "a.avi",
    "x/../y",
]


def test_awkward_names_get_safe_distinct_keys() -> None:
    keys = video_keys(AWKWARD)
    assert len({key.lower() for key in keys}) == len(AWKWARD)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,119}", key) for key in keys)


def test_plain_names_stay_readable() -> None:
    paths = ["walking/v_Walking_g01_c01.avi", "b-2.mp4", "c.RMVB"]
    assert video_keys(paths) == ["walking__v_Walking_g01_c01", "b-2", "c"]


@given(st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=20, unique=True))
def test_keys_are_distinct_whatever_the_names(paths: list[str]) -> None:
    keys = video_keys(paths)
    assert len({key.lower() for key in keys}) == len(paths)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,119}", key, re.ASCII) for key in keys)


@pytest.mark.parametrize("folder", [weights_folder, shard_cache])
def test_a_user_without_a_home_folder(folder: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "BIKE_WEIGHTS", "BIKE_SHARD_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _: {}["no such user"])
    with pytest.raises(BikeError, match=r"this user has no home folder\. Set BIKE_(WEIGHTS|SHARD_CACHE) to a folder"):
        folder()
    for name in ("BIKE_WEIGHTS", "BIKE_SHARD_CACHE"):
        monkeypatch.setenv(name, "/elsewhere")
    assert folder() == Path("/elsewhere")


def test_a_name_beside_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a/b")
    assert beside("work/x.pt", ".{}.state") == Path("work/.x.pt.state")
    assert beside(".", "{}.json") == tmp_path / "a/b.json"
    assert beside("..", "{}.json") == tmp_path / "a.json"
