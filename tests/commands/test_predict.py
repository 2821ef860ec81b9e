"""``bike predict``: inputs of every kind, JSON lines, failures, windows, pictures; what needs no torch fails early."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.contracts import save_model
from helpers.fit_data import NAMES
from helpers.videos import make_video
from PIL import Image

from bike import predict as bike_predict
from bike.cli import build_app, guarded
from bike.errors import BikeError
from bike.video.decode import probe_video


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``a.mp4``, ``deep/b.mp4`` (40 frames, 10 a second), ``deep/bad.mp4``, ``model.pt``; the working folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "deep/b.mp4"):
        make_video(tmp_path / name, 40)
    (tmp_path / "deep/bad.mp4").write_text("no video")
    save_model(tmp_path / "model.pt", classes=NAMES)
    return tmp_path


def bike(*words: str) -> int:
    return guarded(
        lambda: build_app()(["predict", *words, "--checkpoint", "model.pt", "--device", "cpu"], standalone_mode=False)
    )


def test_json_lines_on_stdout_and_each_failure_named(
    folder: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "list.txt").write_text("deep/gone.mp4\na.mp4\n")
    assert bike("deep", "list.txt", "--json", "-") == 1
    printed = capfd.readouterr()
    found = [json.loads(line) for line in printed.out.splitlines()]
    assert [row["video"] for row in found] == ["deep/b.mp4", "deep/bad.mp4", "deep/gone.mp4", "a.mp4"]
    assert [("error" in row, len(row["guesses"])) for row in found] == [(False, 3), (True, 0), (True, 0), (False, 3)]
    bad, gone = (record.getMessage() for record in caplog.records if record.name == "bike")
    assert bad.startswith("deep/bad.mp4: not a video")
    assert gone.startswith("deep/gone.mp4: no such file")
    assert "2 of 4 videos failed" in printed.err
    assert bike("a.mp4", "deep/b.mp4", "--json", "found.jsonl") == 0
    assert [json.loads(line)["video"] for line in Path("found.jsonl").read_text().splitlines()] == [
        "a.mp4",
        "deep/b.mp4",
    ]


def test_a_file_of_lines_grows_as_answers_come(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("found.jsonl").write_text("before\n")
    seen, predictions = [], bike_predict.predict_videos

    def watched(*given: Any, **options: Any) -> Iterator[bike_predict.Prediction]:
        for prediction in predictions(*given, **options):
            seen.append(Path("found.jsonl").read_text().count("\n"))
            yield prediction
            if len(seen) == 3:
                raise BikeError("enough")

    monkeypatch.setattr(bike_predict, "predict_videos", watched)
    assert bike("a.mp4", "deep", "--json", "found.jsonl", "--replace") == 1
    assert seen == [1, 1, 2]
    rows = [json.loads(line) for line in Path("found.jsonl").read_text().splitlines()]
    assert [row["video"] for row in rows] == ["a.mp4", "deep/b.mp4", "deep/bad.mp4"]


def test_paths_from_standard_input(folder: Path) -> None:
    words = [sys.executable, "-m", "bike.cli", "predict", "-", "--checkpoint", "model.pt", "--json", "-"]
    done = subprocess.run(words, input=b"deep/b.mp4\ndeep/bad.mp4\n", capture_output=True, check=False)
    assert [json.loads(line)["video"] for line in done.stdout.splitlines()] == ["deep/b.mp4", "deep/bad.mp4"]
    assert done.returncode == 1
    assert [line.partition(b":")[0] for line in done.stderr.splitlines()] == [b"deep/bad.mp4", b"Error"]


def test_a_timeline_as_a_table_and_as_json(
    folder: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "bike")
    words = ["--window", "1", "--stride", "0.5", "--start", "1", "--end", "3", "--json", "out.json", "--saliency"]
    assert bike("a.mp4", *words) == 0
    printed = capfd.readouterr()
    assert "1.0 s to 3.0 s" in printed.out
    assert any(bar in printed.out for bar in "▁▂▃▄▅▆▇█")
    assert "3/3 windows" in caplog.text
    (found,) = json.loads(Path("out.json").read_text())
    assert [(row["start"], row["end"]) for row in found["timeline"]] == [(1.0, 2.0), (1.5, 2.5), (2.0, 3.0)]
    assert all(len(row["guesses"]) == len(row["saliency"]) == 3 for row in found["timeline"])
    assert "saliency" not in found


def test_a_timeline_leaves_room_for_names(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert bike("a.mp4", "--window", "0.1") == 0
    printed = capfd.readouterr().out
    assert all(name in printed for name in NAMES)
    assert max(map(len, printed.splitlines())) <= 60


def test_a_strip_and_a_rendered_video(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert bike("a.mp4", "--save", "strip.png", "--render", "seen.mp4", "--start", "1") == 0
    with Image.open("strip.png") as strip:
        assert strip.format == "PNG"
    assert probe_video("seen.mp4").frames == 30
    for words, reason in (
        (["a.mp4", "--save", "strip.png"], "would be thrown away"),
        (["a.mp4", "--render", "a.mp4", "--replace"], "is read here"),
        (["deep", "--render", "deep/new.mp4"], "of one video (got 2)"),
        (["a.mp4", "--save", "new.png", "--window", "1"], "--save, --window"),
        (["a.mp4", "--save", "new", "--json", "deep/../new"], "two name one file"),
        (["a.mp4", "--save", "-"], "go to files"),
        (["a.mp4", "--render", "-"], "go to files"),
    ):
        assert bike(*words) == 1
        assert reason in capfd.readouterr().err
    assert bike("deep/bad.mp4", "--save", "new.png", "--render", "new.mp4") == 1
    assert not list(folder.glob("new*"))


EARLY = [
    ["gone.mp4"],
    ["a.mp4", "--classes", "a,a"],
    ["a.mp4", "--stride", "1"],
    ["a.mp4", "--end", "0"],
    ["a.mp4", "--checkpoint", "gone.pt"],
    ["a.mp4", "--weights", "ViT-B/23"],
    ["a.mp4"],
    ["a.mp4", "--weights", "ViT-B/32"],
    ["a.mp4", "--labels", "gone.csv"],
    ["a.mp4", "--classes", "a,b", "--json", "a.mp4"],
    ["empty"],
]


@pytest.mark.parametrize("words", EARLY, ids=" ".join)
def test_what_needs_no_torch_fails_before_it_is_loaded(words: list[str], folder: Path) -> None:
    (folder / "empty").mkdir()
    code = (
        "import sys; from bike.cli import build_app, guarded\n"
        "status = guarded(lambda: build_app()(['predict', *sys.argv[1:]], standalone_mode=False))\n"
        "print(status, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 False", done.stderr
    assert done.stderr.count("\n") == 1
