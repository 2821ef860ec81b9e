"""Frames of one video: a pack or a folder that appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from bike.extract.output import open_output, output_exists, remove_output
from bike.files import sweep


def jpeg(number: int) -> bytes:
    """What stands for a JPEG; no two are of one length."""
    return b"x" * (10 + number)


@pytest.mark.parametrize("layout", ["packs", "folders"])
def test_outputs_appear_whole_or_not_at_all(tmp_path: Path, layout: str) -> None:
    with open_output(tmp_path, "k", layout) as output:  # type: ignore[arg-type]
        for number in range(5):
            output.add(jpeg(number))
        assert not (tmp_path / "k.mjpg").exists()
        assert not (tmp_path / "k").exists()
        output.keep_first(3)
        output.keep_first(9)
        output.add(jpeg(9))
    assert output.num_frames == 4
    assert output_exists(tmp_path, "k", layout, 4, output.num_bytes)  # type: ignore[arg-type]
    assert not output_exists(tmp_path, "k", layout, 5, output.num_bytes + 1)  # type: ignore[arg-type]
    expected = [jpeg(0), jpeg(1), jpeg(2), jpeg(9)]
    if layout == "packs":
        assert (tmp_path / "k.mjpg").read_bytes() == b"".join(expected)
    else:
        files = sorted((tmp_path / "k").iterdir())
        assert [path.name for path in files] == [f"img_{number:05d}.jpg" for number in range(1, 5)]
        assert [path.read_bytes() for path in files] == expected
    assert output.num_bytes == sum(map(len, expected))
    with pytest.raises(RuntimeError), open_output(tmp_path, "k", layout) as output:  # type: ignore[arg-type]
        output.add(jpeg(7))
        raise RuntimeError
    assert output_exists(tmp_path, "k", layout, 4, sum(map(len, expected)))  # type: ignore[arg-type]
    with open_output(tmp_path, "k", layout) as output:  # type: ignore[arg-type]
        output.add(jpeg(1))
    assert output_exists(tmp_path, "k", layout, 1, len(jpeg(1)))  # type: ignore[arg-type]
    assert not (tmp_path / "k" / "img_00002.jpg").exists()
    remove_output(tmp_path, "k")
    assert list(tmp_path.iterdir()) == []


def test_other_peoples_files_stay_and_leftovers_of_a_kill_go(tmp_path: Path) -> None:
    for name in ("k/notes.txt", "k/img_00001.jpg", ".bike-abc.part", ".bike-dir.part/img_00001.jpg", "keep.mjpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    remove_output(tmp_path, "k")
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k", "keep.mjpg"]
    assert [path.name for path in (tmp_path / "k").iterdir()] == ["notes.txt"]
