"""When the disk, not a video, is the problem: a clear end, and nothing half-written that looks whole."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from helpers.videos import make_video

from bike.errors import BikeError
from bike.extract.run import extract_videos
from bike.files import locked
from bike.formats.packs import scan_offsets
from bike.params import Extract


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(6):
        make_video(folder / f"{number}.mp4", 2 if number < 3 else 60)
    return folder


def run_limited(videos: Path, destination: Path, *, backend: str = "pyav") -> subprocess.CompletedProcess[str]:
    """Extract where no file may grow beyond 30 kB, which stands for a disk that fills up."""
    code = """
        import signal, sys
        from bike.cli import guarded
        from bike.extract.run import extract_videos
        from bike.params import Extract
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        options = Extract(backend=sys.argv[3])
        sys.exit(guarded(lambda: extract_videos(sys.argv[1], sys.argv[2], options=options, jobs=2)))
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(videos), str(destination), backend],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY)),
    )


@pytest.mark.parametrize("backend", ["pyav", "ffmpeg"])
def test_a_full_disk(videos: Path, tmp_path: Path, backend: str) -> None:
    result = run_limited(videos, tmp_path / "out", backend=backend)
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error")]
    assert len(errors) == 1
    assert "can't be written (File too large)" in errors[0]
    assert "Free space" in errors[0]
    assert "Traceback" not in result.stderr
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert "manifest.csv" not in left
    for path in (tmp_path / "out").glob("*.mjpg"):
        assert len(scan_offsets(path.read_bytes())) == 3
    records = extract_videos(videos, tmp_path / "out", jobs=2, options=Extract(backend=backend))  # type: ignore[arg-type]
    assert [record.frames for record in records] == [2, 2, 2, 60, 60, 60]
    assert len(list((tmp_path / "out").iterdir())) == 8


def test_a_folder_that_takes_no_files(videos: Path) -> None:
    """/proc is a folder in which nobody, root included, can make a file."""
    if not Path("/proc/self").is_dir():
        pytest.skip("no /proc here")
    with pytest.raises(BikeError, match=r"/proc.*can't be written"):
        extract_videos(videos, "/proc", jobs=1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write and read everywhere")
def test_no_permission(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(BikeError, match=r"can't be written \(Permission denied\)"):
        extract_videos(videos, tmp_path / "out", jobs=1)


def test_two_extractions_can_not_share_a_folder(videos: Path, tmp_path: Path) -> None:
    with locked(tmp_path, "testing"), pytest.raises(BikeError, match="another run is extracting here. Wait for it"):
        extract_videos(videos, tmp_path, jobs=1)


def test_ffmpeg_python_hidden_by_a_namesake(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "hides" / "ffmpeg").mkdir(parents=True)
    (tmp_path / "hides" / "ffmpeg" / "__init__.py").write_text("")
    code = "import sys; from bike.cli import guarded; from bike.extract.ffmpeg import ffmpeg_python; "
    code += "sys.exit(guarded(ffmpeg_python))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "hides")}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "pip install ffmpeg-python" in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_ffmpeg_binary(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "no-such-ffmpeg"))
    with pytest.raises(BikeError, match="ffmpeg"):
        extract_videos(videos, tmp_path / "out", jobs=1, options=Extract(backend="ffmpeg"))
