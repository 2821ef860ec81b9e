"""Frame packs: finding frames, reading some of them, refusing damage."""

from __future__ import annotations

import io
import mmap
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from helpers.shards import jpeg, picture
from PIL import Image

from bike.errors import DataError
from bike.formats.packs import read_frames, scan_offsets, split_stream


def jpegs(count: int) -> list[bytes]:
    return [jpeg(picture(i, i)) for i in range(count)]


def test_offsets_are_where_each_jpeg_starts_and_the_end() -> None:
    parts = jpegs(5)
    expected = np.cumsum([0, *map(len, parts)]).tolist()
    pack = b"".join(parts)
    assert scan_offsets(pack) == expected
    assert scan_offsets(memoryview(pack)) == expected
    assert scan_offsets(bytearray(pack)) == expected
    assert scan_offsets(b"") == [0]


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_blocks": 2}, {"optimize": True}])
def test_offsets_survive_progressive_scans_restart_markers_and_thumbnails(options: dict[str, object]) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a comment with \xff\xd8 and \xff\xd9 in it"
    parts = []
    for i in range(3):
        out = io.BytesIO()
        Image.fromarray(picture(i, i)).save(out, "JPEG", exif=exif, comment=jpegs(1)[0][:900], **options)  # type: ignore[arg-type]
        parts.append(out.getvalue())
    assert scan_offsets(b"".join(parts)) == np.cumsum([0, *map(len, parts)]).tolist()


@pytest.mark.parametrize("block", [1, 7, 1000, 10**6])
def test_a_stream_splits_at_any_block_size(block: int) -> None:
    parts = jpegs(5)
    data = b"".join(parts)
    assert list(split_stream([data[start : start + block] for start in range(0, len(data), block)])) == parts
    with pytest.raises(DataError, match="cut off"):
        list(split_stream([data[:-1]]))


def test_reads_the_asked_frames_in_the_asked_order() -> None:
    parts = jpegs(6)
    pack = b"".join(parts)
    frames = read_frames(pack, scan_offsets(pack), [4, 0, 4, 5])
    assert frames.shape == (4, 24, 32, 3)
    assert frames.dtype == np.uint8
    for frame, index in zip(frames, [4, 0, 4, 5], strict=True):
        np.testing.assert_array_equal(frame, simplejpeg.decode_jpeg(parts[index]))
    assert read_frames(pack, scan_offsets(pack), []).shape[0] == 0


def test_reads_from_a_memory_map(tmp_path: Path) -> None:
    path = tmp_path / "a.mjpg"
    path.write_bytes(b"".join(jpegs(3)))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        offsets = scan_offsets(data)
        mapped = read_frames(data, offsets, [2, 1])
    np.testing.assert_array_equal(mapped, read_frames(path.read_bytes(), offsets, [2, 1]))


def test_damage_and_bad_numbers_are_named() -> None:
    pack = b"".join(jpegs(2))
    offsets = scan_offsets(pack)
    with pytest.raises(DataError, match="no frame 2"):
        read_frames(pack, offsets, [2])
    with pytest.raises(DataError, match="no frame -1"):
        read_frames(pack, offsets, [-1])
    with pytest.raises(DataError, match="cut off"):
        scan_offsets(pack[:-40])
    with pytest.raises(DataError, match=f"byte {offsets[-1]}"):
        scan_offsets(pack + b"rubbish")
    for junk in (b"\xff\xd8\xff", b"\xff\xd8\xff\xdb\x00\x00", b"\xff\xd8\xff\xff", b"no"):
        with pytest.raises(DataError):
            scan_offsets(junk)
    other = jpeg(picture(0, 0, 32, 32))
    mixed = pack + other
    with pytest.raises(DataError, match="frame 2"):
        read_frames(mixed, scan_offsets(mixed), [0, 2])
    wrong = bytearray(pack)
    wrong[offsets[1] + 2 : offsets[1] + 60] = bytes(58)
    with pytest.raises(DataError, match="frame 1 can't be decoded"):
        read_frames(wrong, offsets, [1])
