"""Atomic files, keys, records and progress."""

from __future__ import annotations

import errno
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bike.errors import BikeError, BusyError, DataError, first_few, nearest
from bike.files import atomic_write, claim_file, locked, read_between, read_json, sha256, write_between, write_json
from bike.files.disk import part_prefix
from bike.progress import progress
from bike.records import (
    Sample,
    VideoRecord,
    labels_of,
    read_labels,
    read_list,
    read_manifest,
    write_labels,
    write_list,
    write_manifest,
)


def test_a_file_that_is_being_written_is_no_leftover(tmp_path: Path) -> None:
    file, left = tmp_path / "a.txt", tmp_path / f"{part_prefix(Path('a.txt'))}killed.part"
    left.touch()
    with atomic_write(file, "w") as out:
        out.write("mine")
        with claim_file(file):  # of another run
            assert not left.exists()
    assert file.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [file]


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(file, "w") as out:
        out.write("half of the n")
        raise KeyboardInterrupt
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("name", ["", "x.lock"])
def test_a_folder_or_lock_file_has_one_holder(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with locked(path, "writing") as certain:
        assert certain
        message = f"{path}: another run is writing here. Wait for it, or choose another folder."
        with pytest.raises(BusyError, match=message), locked(path, "writing"):
            pass
    with pytest.raises(KeyError), locked(path, "writing"):
        raise KeyError
    with locked(path, "writing"):
        pass


def test_a_lock_can_be_waited_for(tmp_path: Path) -> None:
    order = []

    def second() -> None:
        with locked(tmp_path, "writing", wait=True):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(tmp_path, "writing"):
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_lock_dies_with_its_holder(tmp_path: Path) -> None:
    code = "import sys, time; from bike.files import locked\n"
    code += "with locked(sys.argv[1], 'writing'): print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(BusyError), locked(tmp_path, "writing"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with locked(tmp_path, "writing"):
        pass


def test_a_lock_ends_although_a_fork_has_a_copy(tmp_path: Path) -> None:
    """A loader may fork its workers while another one's thread fetches; they would keep its lock forever."""
    with locked(tmp_path, "writing"):
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
    try:
        with locked(tmp_path, "writing") as certain:
            assert certain
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_where_there_are_no_locks_all_may_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with locked(tmp_path, "writing") as certain, locked(tmp_path, "writing", wait=True):
        assert not certain


def test_a_lock_file_of_another_user_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def readable_only(path: object, flags: int, *mode: int) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, *mode)  # type: ignore[arg-type]

    (tmp_path / "lock").touch()
    monkeypatch.setattr(os, "open", readable_only)
    with locked(tmp_path / "lock", "writing"), pytest.raises(BusyError), locked(tmp_path / "lock", "writing"):
        pass


def test_a_lock_that_can_not_be_made_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(BikeError, match=r"lock: can't be written \(No such file"),
        locked(tmp_path / "no" / "lock", "x"),
    ):
        pass


def test_a_file_in_the_place_of_a_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BikeError, match="can't be written"), atomic_write(tmp_path / "file" / "x"):
        pass


def test_json_round_trip_and_errors(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"ü": [1, 2.5]})
    assert read_json(tmp_path / "a.json") == {"ü": [1, 2.5]}
    (tmp_path / "b.json").write_text("{\n]")
    with pytest.raises(BikeError, match="line 2"):
        read_json(tmp_path / "b.json")
    (tmp_path / "c.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BikeError, match="UTF-8"):
        read_json(tmp_path / "c.json")
    assert len(sha256(tmp_path / "a.json")) == 64


BEFORE, AFTER, START, END = "# Title\n\nProse.\n\n", "\nMore prose: 50 %.\n", "<!-- a -->", "<!-- /a -->"


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_only_the_text_between_the_marks_changes(tmp_path: Path, line_end: str) -> None:
    path = tmp_path / "README.md"
    path.write_bytes(f"{BEFORE}{START}\nold\n{END}{AFTER}".replace("\n", line_end).encode())
    assert write_between(path, START, END, "new\nlines\n")
    assert path.read_bytes().decode() == f"{BEFORE}{START}\nnew\nlines\n{END}{AFTER}".replace("\n", line_end)
    assert read_between(path, START, END) == f"{line_end}new{line_end}lines{line_end}"
    stamp = path.stat().st_mtime_ns
    assert not write_between(path, START, END, "new\nlines\n")
    assert path.stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    "text", ["no marks", START, END, f"{END}\n{START}", f"{START}\n{START}\n{END}", f"{START}{END}{END}"]
)
def test_marks_must_be_there_once_and_in_order(tmp_path: Path, text: str) -> None:
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(BikeError, match="once each"):
        write_between(path, START, END, "new\n")
    assert path.read_text() == text


@pytest.mark.parametrize("kind", ["pipe", "device", "link", "folder"])
def test_marks_are_looked_for_in_plain_files_alone(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "README.md", tmp_path / "other.md"
    other.write_text(f"{START}\nold\n{END}\n")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(other)
    else:
        path = Path("/dev/null")
    before = os.lstat(path)
    for job in (lambda: read_between(path, START, END), lambda: write_between(path, START, END, "new\n")):
        with pytest.raises(BikeError, match="not a plain file, so its text can't be replaced"):
            job()
    assert os.lstat(path).st_ino == before.st_ino
    assert other.read_text() == f"{START}\nold\n{END}\n"


def test_a_file_for_the_marks_that_is_not_text_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    with pytest.raises(BikeError, match="no such file"):
        write_between(path, START, END, "new\n")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BikeError, match="not UTF-8"):
        write_between(path, START, END, "new\n")


def test_manifest_round_trip(tmp_path: Path) -> None:
    records = [
        VideoRecord("a", 'dir/a,"b"\n\r.mp4', "ok", 30, 29.97, 320, 240, 1.001, 1234),
        VideoRecord("c", "\r", "ok", 1),
        VideoRecord("b", "x\udcff.mp4", "rejected", error="truncated: 12 of 300 frames"),
    ]
    write_manifest(tmp_path / "m.csv", records)
    assert read_manifest(tmp_path / "m.csv") == records
    assert (tmp_path / "m.csv").read_bytes().count(b"\r\n") == 0


def test_list_round_trip(tmp_path: Path) -> None:
    samples = [
        Sample("a-0", "a", "a.mp4", (3, 17), 300, 0.1, 12.3456789),
        Sample("a-1", "a", "a.mp4", (), 300),
        Sample("b", "b", "b.mp4", (0,), 12, 1234567.25, None),
    ]
    write_list(tmp_path / "l.csv", samples)
    assert read_list(tmp_path / "l.csv") == samples


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("key,label\na,1\n", "column 'frames' is missing"),
        ("key,label,frames\na,x,3\n", "line 2"),
        ("key,label,frames\na,1,3\na,1,3\n", "line 3"),
        ("key,label,frames\na,-2,3\n", "line 2"),
        ("key,label,frames,start_seconds,end_seconds\na,1,3,nan,\n", "line 2"),
        ("key,label,frames,start_seconds,end_seconds\na,1,3,1,inf\n", "line 2"),
        ("key,label,frames,start_seconds,end_seconds\na,1,3,5,1\n", "line 2"),
        ("key,label,frames\na,1,3\nb,1\n", "line 3 ends before column 'frames'"),
        ("", "column 'key' is missing"),
    ],
)
def test_a_bad_list_names_the_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        read_list(tmp_path / "l.csv")


def test_columns_come_in_any_order_and_some_may_lack(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(
        "extra,frames,label,end_seconds,key\nx,3,1 2,4.5,a\ny,4,,,b\nz,5,0,,c,more\nz,5,0,,d\n"
    )
    assert read_list(tmp_path / "l.csv") == [
        Sample("a", "a", "a", (1, 2), 3, None, 4.5),
        Sample("b", "b", "b", (), 4),
        Sample("c", "c", "c", (0,), 5),
        Sample("d", "d", "d", (0,), 5),
    ]
    (tmp_path / "m.csv").write_text("status,key,path,frames,fps\nok,a,a.mp4,3\nrejected,b,b.mp4,,25\n")
    assert read_manifest(tmp_path / "m.csv") == [
        VideoRecord("a", "a.mp4", "ok", 3),
        VideoRecord("b", "b.mp4", "rejected", fps=25.0),
    ]
    (tmp_path / "m.csv").write_text("key,path,status,frames\na,a.mp4,ok\n")
    with pytest.raises(DataError, match="line 2 ends before column 'frames'"):
        read_manifest(tmp_path / "m.csv")


def test_labels_round_trip_and_errors(tmp_path: Path) -> None:
    write_labels(tmp_path / "l.csv", ["a, b", "<script>"])
    assert read_labels(tmp_path / "l.csv") == ["a, b", "<script>"]
    for text in ("id,name\n0,a\n2,b\n", "id,name\n0,\n", "id,name\nx,a\n", "id,name\n"):
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(DataError, match=r"bad\.csv"):
            read_labels(tmp_path / "bad.csv")


def test_class_names_lie_beside_the_list(tmp_path: Path) -> None:
    listing, other = tmp_path / "test.csv", tmp_path / "other.csv"
    assert labels_of(listing, other) == other
    with pytest.raises(DataError, match=r"test\.csv: no labels\.csv beside it\. .* --labels"):
        labels_of(listing, None)
    write_labels(tmp_path / "labels.csv", ["a"])
    assert labels_of(listing, None) == tmp_path / "labels.csv"
    assert labels_of(listing, other) == other


def test_progress_off_a_terminal_is_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bike")
    with progress("extract", 3, unit="videos") as job:
        job.advance(2)
        job.advance(note="1 rejected")
    assert re.fullmatch(r"extract: 3/3 videos, \S+/s, 1 rejected", caplog.messages[-1])


def test_problems_are_shortened_and_counted() -> None:
    assert first_few(["a", "b", "c"], 2) == "a; b; and 1 more"
    assert nearest("ephocs", ["epochs", "lr"]) == " Did you mean 'epochs'?"
    assert nearest("zzz", ["epochs"]) == ""
