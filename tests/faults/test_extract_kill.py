"""Killed at any moment, by SIGKILL or Ctrl-C: the next run goes on, and the result is the uninterrupted one's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from helpers.videos import digests, make_video, overwrite

from bike.extract.journal import JOURNAL_NAME
from bike.extract.run import extract_videos
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


def test_killed_helpers_cost_their_video_only(videos: Path, tmp_path: Path) -> None:
    """A helper process that dies (of memory, say) is named; the next run does what it was doing."""
    process = start(videos, tmp_path)
    wait_for(tmp_path, 2, process)
    killed = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and parent_of(int(entry.name)) == process.pid:
            os.kill(int(entry.name), signal.SIGKILL)
            killed += 1
    _, log = process.communicate()
    assert killed == 2
    assert process.returncode == 0, log
    records = extract_videos(videos, tmp_path, jobs=1)
    assert [record.status for record in records].count("ok") == NUM_VIDEOS


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


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
    records = extract_videos(videos, tmp_path, jobs=2, options=Extract(quality=9))
    for record in records:
        if record.status == "ok":
            assert (tmp_path / f"{record.key}.mjpg").stat().st_size == record.bytes
