"""Two results side by side: the same videos, what was gained and lost, and what can't be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from helpers.results import NAMES, write_curves, write_evaluation, write_results, write_scored
from typer.testing import CliRunner

from bike.cli import guarded
from bike.commands.report import report
from bike.errors import BikeError, DataError, ParamsError
from bike.evaluate.scores import read_scores, write_scores
from bike.report.compare import build_comparison
from bike.report.page import render

LABELS = np.arange(60) % len(NAMES)


def write_right(folder: Path, right: range) -> None:
    """An evaluation of 60 videos that has those of these numbers right, and takes others for the next class."""
    best = np.where(np.isin(np.arange(60), right), LABELS, (LABELS + 1) % len(NAMES))
    write_scored(folder, 0.5 * np.eye(len(NAMES))[best], LABELS, NAMES)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the next comparison puts on its page."""
    values: dict[str, Any] = {}

    def keep(template: str, **content: Any) -> str:
        values.update(content)
        return render(template, **content)

    monkeypatch.setattr("bike.report.compare.render", keep)
    return values


def test_differences_classes_and_videos_are_those_of_the_scores(tmp_path: Path, shown: dict[str, Any]) -> None:
    write_right(tmp_path / "a/fuse/4x3", range(0, 30))
    write_right(tmp_path / "b/fuse/4x3", range(6, 48))
    assert build_comparison([tmp_path / "a", tmp_path / "b"], tmp_path / "out") == 1
    ((name, pair, first, second, difference, interval, gained, lost, beyond),) = shown["differences"]
    assert (name, pair, first, second, difference) == ("fuse/4x3", "B – A", 50.0, 70.0, "+20.0")
    assert (gained, lost, beyond) == (18, 6, "better")
    low, _, high = interval.partition(" to ")
    assert 0 < float(low) < 20 < float(high)
    # Each class has ten videos, of which A has the first five, and B the second to the eighth right.
    assert shown["classes"] == [[name, 10, 50.0, 70.0, "+20.0"] for name in sorted(NAMES)]
    changed = shown["changed"]
    assert len(changed) == 24
    assert changed[0] == ["video-000", NAMES[0], "A", f"{NAMES[0]} (0.5000)", f"{NAMES[1]} (0.5000)"]
    assert [line[0] for line in changed if line[2] == "B"] == [f"video-{i:03d}" for i in range(30, 48)]
    page = (tmp_path / "out/index.html").read_text()
    assert "24 of 60 videos" in page


def test_only_videos_that_all_have_are_compared(tmp_path: Path, shown: dict[str, Any]) -> None:
    write_right(tmp_path / "a/fuse/4x3", range(0, 30))
    write_right(tmp_path / "b/fuse/4x3", range(0, 60))
    scores = read_scores(tmp_path / "b/fuse/4x3")
    keys = [key if i >= 20 else f"other-{i}" for i, key in enumerate(scores.keys)]
    write_scores(
        tmp_path / "b/fuse/4x3/scores.safetensors", type(scores)(keys, scores.names, scores.scores, scores.targets)
    )
    build_comparison([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert shown["videos"] == 40
    assert shown["differences"][0][6:8] == (30, 0)


def test_results_compare_what_they_share_and_their_curves(tmp_path: Path, shown: dict[str, Any]) -> None:
    one = write_results(tmp_path / "one")
    write_evaluation(tmp_path / "two/video-transf-vcs/4x3", seed=50)
    write_evaluation(tmp_path / "two/attributes", seed=51)
    write_curves(tmp_path / "two/train/attributes", steps=30)
    write_curves(tmp_path / "two/train/other", steps=30)
    assert build_comparison([one, tmp_path / "two"], tmp_path / "out") == 2
    assert [line[0] for line in shown["differences"]] == ["video-transf-vcs/4x3", "attributes"]
    curves = shown["curves"]
    assert list(curves) == ["attributes"]
    assert {(curve.run, curve.metric) for curve in curves["attributes"]} == {
        (letter, metric) for letter in "AB" for metric in ("lr", "train/loss", "val/top1")
    }
    # Of what both have, the validation of A chooses the evaluation whose classes and videos are shown.
    assert shown["focus"] == "video-transf-vcs/4x3"


def test_single_evaluations_are_compared_whatever_their_names(tmp_path: Path, shown: dict[str, Any]) -> None:
    results = write_results(tmp_path / "results")
    places = [results / "fuse/4x3", results / "attributes", results / "zeroshot/1x1"]
    assert build_comparison(places, tmp_path / "out") == 1
    assert [line[1] for line in shown["differences"]] == ["B – A", "C – A"]
    assert shown["focus"] == "fuse/4x3 and attributes and zeroshot/1x1"


def test_without_scores_the_figures_remain(tmp_path: Path, shown: dict[str, Any]) -> None:
    for name in "ab":
        write_evaluation(tmp_path / name / "fuse/4x3")
        (tmp_path / name / "fuse/4x3/scores.safetensors").unlink()
    build_comparison([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert shown["differences"][0][-1] == "no scores of the same videos"
    assert (shown["classes"], shown["changed"]) == ([], [])


def test_what_cant_be_compared_is_refused_and_nothing_written(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "a/fuse/4x3")
    write_evaluation(tmp_path / "a/attributes")
    write_evaluation(tmp_path / "b/zeroshot/1x1")
    write_evaluation(tmp_path / "b/fuse/1x1")
    write_evaluation(tmp_path / "c/fuse/4x3", names=NAMES[::-1])
    a, b, c, out = (tmp_path / name for name in ("a", "b", "c", "out"))
    with pytest.raises(DataError, match=r"a: no evaluation that all have \(.*a has attributes; fuse/4x3; .*b has"):
        build_comparison([a, b], out)
    with pytest.raises(DataError, match="other classes"):
        build_comparison([a, c], out)
    with pytest.raises(BikeError, match="no such folder"):
        build_comparison([a, tmp_path / "nowhere"], out)
    with pytest.raises(ParamsError, match=r"2 to 26 folders can be compared \(got 27\)"):
        build_comparison([a] * 27, out)
    assert not out.exists()


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer()
    app.command()(report)
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        write_evaluation(tmp_path / name / "fuse/4x3", seed=ord(name))
    assert CliRunner().invoke(app, ["a", "b"]).stdout == f"{Path('comparison/index.html')}: 1 evaluations compared\n"
    before = (tmp_path / "comparison/index.html").read_bytes()
    assert CliRunner().invoke(app, ["a", "b"]).exit_code == 0
    assert (tmp_path / "comparison/index.html").read_bytes() == before
    assert guarded(lambda: app(["a", "b", "--show"], standalone_mode=False)) == 1
    assert capsys.readouterr().err.endswith("--show: is for one results folder (got 2). Leave it out.\n")
    assert guarded(lambda: app(["a", "b", "--out", "a"], standalone_mode=False)) == 1
    assert "a: is read here" in capsys.readouterr().err
