"""Videos that look alike are found across lists, others are not, and what can't be compared is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.annotations import Desk, found, look, manifest

from bike.errors import DataError
from bike.records import read_manifest, write_manifest

ROWS = [("path", "label", "split"), ("a.mp4", "run", "train"), ("b.mp4", "walk", "train"), ("c.mp4", "run", "test")]


def media(folder: Path, hashes: Mapping[str, str]) -> Path:
    """A manifest of a.mp4, b.mp4 and c.mp4, some with these picture hashes."""
    path = manifest(folder / "manifest.csv", ["a.mp4", "b.mp4", "c.mp4"])
    records = read_manifest(path)
    write_manifest(path, [replace(each, picture_hash=hashes.get(each.key, each.picture_hash)) for each in records])
    return path


def changed(text: str, digits: int) -> str:
    """The same hash without the bits of its last digits that have any."""
    places = [place for place, digit in enumerate(text) if digit != "0"][-digits:]
    return "".join("0" if place in places else digit for place, digit in enumerate(text))


@pytest.mark.parametrize(("digits", "alike"), [(0, True), (8, True), (30, False)])
def test_hashes_agree_up_to_a_share_of_their_bits(desk: Desk, digits: int, alike: bool) -> None:
    audit = desk.csv(
        ROWS, media(desk.folder, {"a": look("x"), "c": changed(look("x"), digits) if digits else look("x")})
    )
    assert found(audit) == ([("near_duplicate", "keep", "a.mp4")] if alike else [])
    assert audit.notes == (["pairs of videos that look alike: 1 between test and train."] if alike else [])
    assert desk.paths("train") == ["a.mp4", "b.mp4"]


def test_what_a_finding_says(desk: Desk) -> None:
    audit = desk.csv(ROWS, media(desk.folder, dict.fromkeys("abc", look("x"))))
    assert desk.text("audit.csv").splitlines()[1:] == [
        "near_duplicate,keep,train,a.mp4,run,looks like c.mp4 in test",
        'near_duplicate,keep,train,b.mp4,walk,"looks like c.mp4 in test, labelled run"',
    ]
    assert audit.notes == ["pairs of videos that look alike: 2 between test and train, 1 within train."]


def test_drop_keeps_the_lists_that_are_scored(desk: Desk) -> None:
    desk.csv(ROWS, media(desk.folder, {"a": look("x"), "c": look("x")}), policies={"near_duplicate": "drop"})
    assert (desk.paths("train"), desk.paths("test")) == (["b.mp4"], ["c.mp4"])


def test_error_stops(desk: Desk) -> None:
    with pytest.raises(DataError, match=r"near_duplicate a.mp4 \(looks like c.mp4 in test\)"):
        desk.csv(ROWS, media(desk.folder, {"a": look("x"), "c": look("x")}), policies={"near_duplicate": "error"})


def test_parts_of_one_video_do_not_look_alike(desk: Desk) -> None:
    rows = [
        ("path", "label", "split", "start", "end"),
        *(("a.mp4", "run", s, t, t + 1) for t, s in enumerate(["train", "test"])),
    ]
    assert found(desk.csv(rows, ["a.mp4"])) == []


def test_what_is_not_compared(desk: Desk) -> None:
    """Plain videos of equal hashes, and videos without one: of an older version, or spoiled."""
    path = media(desk.folder, {"a": "0" * 64, "b": "", "c": "0" * 64})
    audit = desk.csv(ROWS, path)
    assert [(row.path, row.detail.partition(";")[0]) for row in audit.findings] == [
        ("c.mp4", "too plain: 0 of 256 bits are set"),
        ("a.mp4", "too plain: 0 of 256 bits are set"),
        ("", "1 videos have no picture hash in the manifest"),
    ]
    assert {row.finding for row in audit.findings} == {"not_compared"}
    for odd in ("f" * 64, "x" * 64, "0" * 63):
        assert (
            desk.csv(ROWS, media(desk.folder, {"a": odd, "c": odd})).findings[0].detail.startswith("2 videos have no")
        )


def test_all_pairs_of_many_are_found(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """More than are compared at once, in either direction; copies near and far, and nine of one video."""
    caplog.set_level("INFO", "bike")
    names = [f"{number:05d}.mp4" for number in range(9_000)]
    path = manifest(desk.folder / "manifest.csv", names)
    records = read_manifest(path)
    copies = {8_999: 0, 5_000: 4_999, 130: 127, 4_096: 4_095, **dict.fromkeys(range(8_200, 8_209), 7)}
    for copy, original in copies.items():
        records[copy].picture_hash = changed(records[original].picture_hash, 2)
    write_manifest(path, records)
    audit = desk.csv([("path", "label"), *((name, "run") for name in names)], path)
    assert [(row.path, row.detail) for row in audit.findings] == [
        (names[copy], f"looks like {names[original]} in train") for copy, original in sorted(copies.items())
    ]
    assert audit.notes == [f"pairs of videos that look alike: {4 + 10 * 9 // 2} within train."]
    assert "annotate: compare: 40/40 million pairs" in caplog.text
