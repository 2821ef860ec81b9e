"""Which videos a source holds: folders, lists, CSVs, tars, with names of every kind."""

from __future__ import annotations

import contextlib
import json
import os
import tarfile
from pathlib import Path

import pytest
from helpers.videos import ODD_NAMES, make_tar

from bike.annotate.media import read_media
from bike.errors import BikeError, DataError
from bike.video.file import FoundVideo
from bike.video.find import find_videos
from bike.video.tars import tar_videos
from bike.video.walk import LEADS_OUT


def write(path: bytes | Path, data: bytes = b"x") -> None:
    path = os.fsencode(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 (bytes)
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(data)


def paths(found: list) -> list[str]:
    return [video.path for video in found]


def problems(found: list) -> dict[str, str]:
    return {video.path: video.problem for video in found}


def content(video: FoundVideo) -> bytes:
    with video.file.open() as file:
        return bytes(file.read())


def test_a_folder_is_searched_through(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="bike")
    for name in ("b/c.avi", "a.mp4", "b/deep/er/D.MOV", "notes.txt", "b/.hidden.mp4", ".git/x.mp4", "noextension"):
        write(tmp_path / name)
    found = find_videos(tmp_path)
    assert paths(found) == ["a.mp4", "b/c.avi", "b/deep/er/D.MOV"]
    assert [video.file.path for video in found] == [str(tmp_path / name) for name in paths(found)]
    assert all(video.stamp[0] == 1 and not video.problem for video in found)
    assert "files passed over (hidden, or not named like videos): 3" in caplog.text
    assert paths(find_videos(tmp_path, exclude=tmp_path / "b")) == ["a.mp4"]


def test_archives_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "videos/a.mp4")
    for name, kind in (("b.tar.gz", "gzip"), ("c.ZIP", "zip")):
        write(tmp_path / "videos" / name, b"\x1f\x8b\x08" if kind == "gzip" else b"PK\x03\x04")
        with pytest.raises(DataError, match=rf"{name}: not a video, a tar or a list \(.*{kind}.*unpack it\)"):
            find_videos(tmp_path / "videos" / name)
    assert paths(find_videos(tmp_path / "videos")) == ["a.mp4"]
    assert "archives are not opened, unpack them: b.tar.gz; c.ZIP" in caplog.text


def test_odd_names_round_trip(tmp_path: Path) -> None:
    for name in ODD_NAMES:
        write(os.path.join(os.fsencode(tmp_path), name), name)  # noqa: PTH118
    found = find_videos(tmp_path)
    assert sorted(os.fsencode(video.path) for video in found) == sorted(ODD_NAMES)
    assert all(content(video) == os.fsencode(video.path) for video in found)
    write(tmp_path / "-a.mp4")  # one video is a source, too
    assert paths(find_videos(tmp_path / "-a.mp4")) == ["-a.mp4"]


def test_links_are_followed_once_and_broken_ones_named(tmp_path: Path) -> None:
    write(tmp_path / "real" / "a.mp4")
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "farm").symlink_to(tmp_path / "real")
    (tmp_path / "videos" / "loop").symlink_to(tmp_path / "videos")
    (tmp_path / "videos" / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    os.mkfifo(tmp_path / "videos" / "pipe.mp4")
    found = problems(find_videos(tmp_path / "videos", follow_links=True))
    assert found == {"farm/a.mp4": "", "gone.mp4": "no such file", "pipe.mp4": "not a regular file"}


def test_links_out_of_a_folder_are_followed_when_asked(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    write(tmp_path / "real" / "a.mp4")
    write(videos / "b.mp4")
    for link, target in {"farm": "real", "c.mp4": "real/a.mp4", "notes": "real/a.mp4", "d.mp4": "videos/b.mp4"}.items():
        (videos / link).symlink_to(tmp_path / target)
    found = problems(find_videos(videos))
    assert found == {"b.mp4": "", "d.mp4": "", "c.mp4": LEADS_OUT, "farm": LEADS_OUT}
    (tmp_path / "list.txt").write_text("b.mp4\nc.mp4\nd.mp4\nfarm/a.mp4\n")
    listed = problems(find_videos(videos, listing=tmp_path / "list.txt"))
    assert listed == {"b.mp4": "", "d.mp4": "", "c.mp4": LEADS_OUT, "farm/a.mp4": LEADS_OUT}
    (tmp_path / "other name").symlink_to(videos)  # of the folder itself
    assert paths(find_videos(tmp_path / "other name")) == ["b.mp4", "c.mp4", "d.mp4", "farm"]
    media = read_media(videos)
    assert [record.path for record in media.records] == ["b.mp4", "d.mp4"]
    assert media.note.endswith(f"{LEADS_OUT} (2 of this kind).")
    asked = [video.path for video in find_videos(videos, follow_links=True)]
    assert asked == [record.path for record in read_media(videos, follow_links=True).records]
    assert asked == ["b.mp4", "c.mp4", "d.mp4", "farm/a.mp4"]


def test_lists_and_csvs(tmp_path: Path) -> None:
    for name in ("a.mp4", "b/c d.mp4", "b/e 3", "f.mp4"):
        write(tmp_path / name)
    listing = tmp_path / "list.txt"
    listing.write_text("a.mp4 0\n\nb//c d.mp4 12\n./b/e 3\nb/e 3 7\nmissing.mp4 1 2\r\na.mp4\n", newline="")
    found = find_videos(listing)
    assert problems(found) == {
        "a.mp4": "", "b/c d.mp4": "", "b/e 3": "", "missing.mp4": "no such file",
    }  # fmt: skip
    table = tmp_path / "table.csv"
    table.write_text('label,path\n0,a.mp4\n1,"b/c d.mp4"\n')
    assert paths(find_videos(table)) == ["a.mp4", "b/c d.mp4"]
    (tmp_path / "elsewhere").mkdir()
    table = (tmp_path / "elsewhere" / "picks.csv").resolve()
    table.write_text("path\nf.mp4\n")
    assert paths(find_videos(tmp_path, listing=table)) == ["f.mp4"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "Video;label\r\nb/c d.mp4;run\r\n"),
        ("a.csv", "label, path\nrun, b/c d.mp4\n"),
        ("a.csv", "sep=;\nfilename;label\nb/c d.mp4;run\n"),
        ("a.csv", "path,label\nb\\c d.mp4,run\n"),
        ("a.tsv", "file_path\tlabel\nb/c d.mp4\trun\n"),
        ("a.txt", "b\\c d.mp4 3\n"),
        ("a.txt", "b/c d.mp4 3,7\n"),
        ("a.txt", "b/c d.mp4 -1\n"),
    ],
)
def test_lists_as_people_write_them(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path / "b/c d.mp4")
    (tmp_path / name).write_text(text, newline="")
    (video,) = find_videos(tmp_path, listing=tmp_path / name)
    assert (video.path, video.problem) == ("b/c d.mp4", "")


def test_a_list_may_hold_any_bytes_and_a_byte_order_mark(tmp_path: Path) -> None:
    write(os.path.join(os.fsencode(tmp_path), b"caf\xe9.mp4"))  # noqa: PTH118
    listing = tmp_path / "list"
    listing.write_bytes(b"\xef\xbb\xbfcaf\xe9.mp4 3\n")
    (video,) = find_videos(listing)
    assert os.fsencode(video.path) == b"caf\xe9.mp4"
    assert not video.problem


def test_sources_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BikeError, match="no such file or folder"):
        find_videos(tmp_path / "none")
    with pytest.raises(DataError, match="no videos"):
        find_videos(tmp_path)
    write(tmp_path / "a.txt", b"a.mp4\n")
    with pytest.raises(BikeError, match="is a file"):
        find_videos(tmp_path / "a.txt", listing=tmp_path / "a.txt")


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_give_positions(tmp_path: Path, format: int) -> None:
    """Of the last member of each name."""
    members = {os.fsdecode(name): name * 50 for name in ODD_NAMES}
    members["./sub//x.mp4"] = b"inner"
    first = (next(iter(members)), b"an earlier one")
    tar = make_tar(tmp_path / "videos.tar", [first, *members.items(), ("readme.txt", b"no video")], format)
    found = find_videos(tar)
    assert problems(found) == dict.fromkeys(map(os.path.normpath, members), "")
    assert {video.path: content(video) for video in found} == {os.path.normpath(n): b for n, b in members.items()}


def test_members_of_tars_that_are_not_to_be_read(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "a.tar", [(name, b"x") for name in ("/etc/a.mp4", "../b.mp4", "ok/../../c.mp4")])
    with tarfile.open(path, "a") as tar:
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)):
            info = tarfile.TarInfo(f"{number}.mp4")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    found = tar_videos(path)
    assert len(found) == 7
    assert all(video.problem for video in found)


def test_tars_in_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "plain.mp4")
    make_tar(tmp_path / "00000.tar", [("0.mp4", b"x"), ("a.mp4", b"x")])
    make_tar(tmp_path / "00001.tar", [("1.mp4", b"x"), ("a.mp4", b"yy")])
    assert paths(find_videos(tmp_path)) == ["0.mp4", "00000/a.mp4", "00001/a.mp4", "1.mp4", "plain.mp4"]
    listing = tmp_path / "list.txt"
    listing.write_text("1.mp4\nplain.mp4\nnone.mp4\n")
    found = problems(find_videos(tmp_path, listing=listing))
    assert found == {"1.mp4": "", "plain.mp4": "", "none.mp4": "no such file"}
    found = problems(find_videos(tmp_path / "00001.tar", listing=listing))
    assert found == {"1.mp4": "", "plain.mp4": "not in the tar", "none.mp4": "not in the tar"}


def test_damaged_tars_are_named(tmp_path: Path) -> None:
    write(tmp_path / "a.tar", b"this is no tar" * 100)
    with pytest.raises(DataError, match=r"a\.tar: not a sound"):
        find_videos(tmp_path / "a.tar")
    whole = make_tar(tmp_path / "b.tar", [("a.mp4", bytes(3000)), ("b.mp4", b"1" * 3000)]).read_bytes()
    write(tmp_path / "c.tar", whole[:5200])
    with pytest.raises(DataError, match=r"c\.tar: not a sound"):
        find_videos(tmp_path / "c.tar")
    with tarfile.open(tmp_path / "z.tar", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a.mp4"))
    with pytest.raises(DataError, match="uncompressed"):
        find_videos(tmp_path / "z.tar")


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_tar_that_ends_early_loses_no_video_in_silence(tmp_path: Path, format: int) -> None:
    """Cut after each block, and with each block overwritten: as before, or an error."""
    whole = make_tar(tmp_path / "a.tar", [(f"{n}.mp4", bytes([n]) * 700) for n in (1, 2, 3)], format).read_bytes()
    expected = paths(find_videos(tmp_path / "a.tar"))
    ends = len(whole.rstrip(b"\0")) // 512 + 1
    for block in range(ends):
        for data in (whole[: block * 512], whole[: block * 512] + b"\xaa" * 512 + whole[block * 512 + 512 :]):
            write(tmp_path / "b.tar", data)
            with contextlib.suppress(DataError):
                found = find_videos(tmp_path / "b.tar")
                assert len(data) == len(whole)
                assert len(found) == len(expected), block  # the damage is within a video


@pytest.mark.parametrize("zeros", [0, 512, 3 << 20])
def test_tars_put_end_to_end_are_both_read(tmp_path: Path, caplog: pytest.LogCaptureFixture, zeros: int) -> None:
    first = make_tar(tmp_path / "1.tar", [("a.mp4", b"first")]).read_bytes()
    second = make_tar(tmp_path / "2.tar", [("b.mp4", b"second")]).read_bytes()
    write(tmp_path / "c.tar", first + bytes(zeros) + second)
    found = find_videos(tmp_path / "c.tar")
    assert [(video.path, content(video)) for video in found] == [("a.mp4", b"first"), ("b.mp4", b"second")]
    assert f"another archive follows at byte {len(first) + zeros}" in caplog.text
    write(tmp_path / "d.tar", first + bytes(zeros) + b"something else" * 100)
    assert paths(find_videos(tmp_path / "d.tar")) == ["a.mp4"]
    assert "what follows the end of the archive, at byte" in caplog.text


def test_an_unreadable_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root no permission is missing, so the folder is one that goes away while it is searched."""
    write(tmp_path / "sub" / "a.mp4")
    scandir = os.scandir

    def failing(path: str) -> object:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(BikeError, match=r"sub: can't be read \(Permission denied\)"):
        find_videos(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"name,label\nx,1\n", "column 'path'"),
        ("a.csv", b"path\n", "names no videos"),
        ("a.txt", b"\n", "names"),
        ("a.txt", "a.mp4\n".encode("utf-16"), "UTF-16"),
        ("a.csv", b"path\na.mp4\0\n", "NUL byte"),
        ("a.txt", b"a.mp4\n" * 200_000 + b"\0", "NUL byte"),
        ("a.tar.gz", b"\x1f\x8b\x08rest", "compressed with gzip; unpack it"),
    ],
)
def test_lists_that_are_no_text_or_name_nothing(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    write(tmp_path / name, data)
    with pytest.raises(DataError, match=message):
        find_videos(tmp_path / name)


def test_one_bad_name_is_a_reject(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4")
    write(tmp_path / "list.txt", b"a.mp4\n" + b"y" * 300 + b".mp4\nhttp://host/b.mp4\ns3://bucket/c.mp4\n")
    sound, *addresses, long = find_videos(tmp_path / "list.txt")
    assert (sound.path, sound.problem) == ("a.mp4", "")
    assert [video.problem for video in addresses] == ["an address; download it first"] * 2
    assert "too long" in long.problem


def test_one_bad_tar_of_many_is_a_reject(tmp_path: Path) -> None:
    make_tar(tmp_path / "good.tar", [("a.mp4", b"1")])
    write(tmp_path / "bad.tar", b"no tar" * 200)
    good, bad = find_videos(tmp_path)
    assert (good.path, good.problem) == ("a.mp4", "")
    assert bad.path == "bad.tar"
    assert bad.problem.startswith("not a sound, uncompressed tar")


def test_shards_of_videos_keep_the_names(tmp_path: Path) -> None:
    given = ["run/a b.mp4", "../out.mp4", "/out.mp4", "c.txt", "run//d.mp4", 7, "run/a b.mp4"]
    members: list[tuple[str, bytes]] = []
    for number, path in enumerate(given):
        members += [(f"k{number}.json", json.dumps({"path": path}).encode()), (f"k{number}.mp4", b"x")]
    members += [("k7.json", b"[" * 100_000), ("k7.mp4", b"x"), ("k8.json", b'{"path": "b.mp4"}'), ("k9.mp4", b"x")]
    found = tar_videos(make_tar(tmp_path / "a.tar", members))
    assert [video.path for video in found] == ["run/a b.mp4", *(f"k{number}.mp4" for number in (*range(1, 8), 9))]
    assert not any(video.problem for video in found)
