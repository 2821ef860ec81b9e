"""Killed at any moment, by SIGKILL or Ctrl-C: the next run goes on, and the result is the uninterrupted one's."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from helpers.videos import digests, make_video, overwrite

from bike.extract.journal import JOURNAL_NAME, open_journal
from bike.extract.output import output_there, remove_output
from bike.extract.run import extract_videos
from bike.files.disk import FAULT
from bike.params import Extract

NUM_VIDEOS = 24
CODE = """
    import sys
    from bike.cli import guarded
    from bike.extract.run import extract_videos
    from bike.params import Extract

    source, destination, layout, quality = sys.argv[1:]
    options = Extract(quality=int(quality))
    more = {'options': options, 'layout': layout, 'replace': True}
    sys.exit(guarded(lambda: extract_videos(source, destination, jobs=2, **more)))
"""


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(NUM_VIDEOS):
        make_video(folder / f"{number:02d}.mp4", 40, width=160, height=96)
    overwrite(folder / "03.mp4", folder / "03b.mp4", 0.5, 0.2)
    return folder


@pytest.fixture(scope="module")
def whole(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    found = {}
    for layout in ("packs", "folders"):
        folder = tmp_path_factory.mktemp(layout)
        extract_videos(videos, folder, jobs=1, layout=layout)  # type: ignore[arg-type]
        found[layout] = digests(folder)
    return found


def start(videos: Path, destination: Path, layout: str = "packs", quality: int = 2) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(CODE), str(videos), str(destination), layout, str(quality)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def finished(destination: Path) -> int:
    """Videos noted as done so far."""
    journal = destination / JOURNAL_NAME
    return journal.read_bytes().count(b'{"record"') if journal.exists() else 0


def wait_for(destination: Path, count: int, process: subprocess.Popen[str]) -> None:
    while finished(destination) < count and process.poll() is None:
        time.sleep(0.002)


def test_a_helper_that_dies_costs_its_video_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any of its changes on disk, those included that put the frames in place; nothing need be asked for."""
    for name in ("a.mp4", "b.mp4"):
        make_video(tmp_path / "videos" / name, 2)
    whole = extract_videos(tmp_path / "videos", tmp_path / "whole", jobs=1)
    monkeypatch.setattr("bike.files.disk._change", lambda _: False)  # here; helpers import it again
    there = []

    def remove(destination: Path, key: str) -> None:
        there.append(output_there(destination, key) is not None)
        remove_output(destination, key)

    monkeypatch.setattr("bike.extract.run.remove_output", remove)
    for number in range(1, 6):  # a name, bytes, a sync, a rename, and its sync
        out = tmp_path / str(number)
        monkeypatch.setenv(FAULT, f"{number}:crash:{tmp_path / f'count{number}'}")
        died, other = extract_videos(tmp_path / "videos", out, jobs=1)
        assert died.error == "its helper process ended early (signal 9, SIGKILL)"
        assert not (out / "a.mjpg").exists()
        assert other == whole[1]
        monkeypatch.delenv(FAULT)
        assert extract_videos(tmp_path / "videos", out, jobs=1) == whole
        assert digests(out) == digests(tmp_path / "whole")
    assert there == [False] * 4 + [True]


def test_frames_without_a_note_stay_ours(tmp_path: Path) -> None:
    """Of a run that was killed in between, after another run that did not want that video."""
    for name in ("a.mp4", "b.mp4"):
        make_video(tmp_path / "videos" / name, 2)
    (tmp_path / "b.txt").write_text("b.mp4")
    whole = extract_videos(tmp_path / "videos", tmp_path / "whole", jobs=1)
    out = tmp_path / "out"
    out.mkdir()
    with open_journal(out) as journal:
        journal.begin(["a"])
    (out / "a.mjpg").write_bytes(b"frames that nobody noted")
    extract_videos(tmp_path / "videos", out, listing=tmp_path / "b.txt", jobs=1)
    assert extract_videos(tmp_path / "videos", out, jobs=1) == whole
    assert digests(out) == digests(tmp_path / "whole")
    assert b"begun" not in (out / JOURNAL_NAME).read_bytes()


def test_ctrl_c_ends_cleanly(videos: Path, whole: dict[str, dict[str, str]], tmp_path: Path) -> None:
    process = start(videos, tmp_path)
    wait_for(tmp_path, 3, process)
    process.send_signal(signal.SIGINT)
    _, log = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in log
    assert "go on" in log
    assert not (tmp_path / "manifest.csv").exists()
    extract_videos(videos, tmp_path, jobs=2)
    assert digests(tmp_path) == whole["packs"]


def test_an_old_manifest_does_not_outlive_its_packs(videos: Path, tmp_path: Path) -> None:
    """While packs are replaced there is no manifest that describes the old ones."""
    extract_videos(videos, tmp_path, jobs=2)
    before = finished(tmp_path)
    process = start(videos, tmp_path, quality=9)
    wait_for(tmp_path, before + 3, process)
    process.kill()
    process.communicate()
    assert not (tmp_path / "manifest.csv").exists()
    records = extract_videos(videos, tmp_path, jobs=2, options=Extract(quality=9), replace=True)
    for record in records:
        if record.status == "ok":
            assert (tmp_path / f"{record.key}.mjpg").stat().st_size == record.bytes
