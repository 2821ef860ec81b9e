"""The table of published rows: projects are found by what their files say, and every line fits the terminal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers.commands import run_bike
from helpers.places import ROOT

from bike.files import write_json
from bike.project.overview import find_projects, needs, what_came_of
from bike.zoo import load_zoo

ZOO = load_zoo(ROOT / "configs" / "zoo.yaml")


def make_project(folder: Path, row: str, commit: str | None = "0123456789abcdef", **metrics: float) -> Path:
    """The files of a project that a look at its results reads."""
    (folder / "results/video").mkdir(parents=True)
    (folder / "protocol.yaml").write_text(f"# of `bike init`\nname: {row}\n", encoding="utf-8")
    command = (
        "python -m bike.project.stage summary protocol.yaml results/video/1x1,results/video/2 metrics.json page.md"
    )
    (folder / "dvc.yaml").write_text(f"stages: {{summary: {{cmd: {command!r}}}}}\n", encoding="utf-8")
    write_json(folder / "results/video/1x1.provenance.json", {"commit": commit})
    if metrics:
        write_json(folder / "metrics.json", metrics)
    return folder


def test_projects_are_found_by_what_they_say_wherever_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, other = tmp_path / "here", tmp_path / "other"
    make_project(here / "mine", "anet-vitl14-16f", videos=1, expected=2)
    make_project(here / "a/deeper", "few-shot-ucf101-2")
    make_project(other, "folders")
    (here / "foreign").mkdir()
    (here / "foreign/protocol.yaml").write_text("[of, somebody else]\n")
    (here / "anet-vitl14-16f").mkdir()  # a name says nothing
    for name in ("odd", "pipe"):
        (here / name).mkdir()
    os.mkfifo(here / "pipe/protocol.yaml")
    odd = make_project(here / "odd", "k400-vitb16-8f", top1=10**400)
    (odd / "dvc.yaml").write_text("stages: {summary: {cmd: another}}\n")
    monkeypatch.chdir(here)
    rows = {
        project.folder.name: project.row for project in find_projects((Path(), Path("mine"), other, Path("absent")))
    }
    assert rows == {
        "mine": "anet-vitl14-16f",
        "deeper": "few-shot-ucf101-2",
        "odd": "k400-vitb16-8f",
        "other": "folders",
    }
    assert find_projects([odd])[0].metrics == {}


def test_what_came_of_a_row_has_videos_commit_and_whether_it_is_a_rehearsal(tmp_path: Path) -> None:
    def said(row: str) -> str:
        return what_came_of(ZOO[row], find_projects([tmp_path]))

    assert said("anet-vitl14-16f") == "not run here"
    make_project(tmp_path / "fresh", "k400-vitb16-8f")
    assert said("k400-vitb16-8f") == "not run yet, in fresh"
    figures = {"top1": 12.5, "map_published": 3.25, "top5": 9}
    make_project(tmp_path / "toy", "anet-vitl14-16f", None, **figures, videos=104, expected=4926, measured=0)
    rehearsal = "a rehearsal, 104 of 4,926 videos, commit unknown, in toy"
    assert said("anet-vitl14-16f") == rehearsal
    commit = "0123456789abcdef-dirty"
    make_project(tmp_path / "real", "anet-vitl14-16f", commit, **figures, videos=4926, expected=4926, measured=1)
    measured = "12.5 top1, 3.25 map_published, 4,926 of 4,926 videos, commit 0123456-dirty, in real"
    assert said("anet-vitl14-16f") == f"{measured}; {rehearsal}"
    half = {"top1": 80.5, "half_top1_mean": 86.5, "half_top1_std": 3.25, "videos": 1, "expected": 1, "measured": 1}
    make_project(tmp_path / "half", "zeroshot-ucf101", **half)
    assert said("zeroshot-ucf101").startswith("86.5 ± 3.25 half_top1_mean, 80.5 top1, 1 of 1 videos")


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("k400-vitb16-8f", "Kinetics-400, 8 frames, ViT-B/16"),
        ("k400-vitb32-8f", "Kinetics-400, 8 frames, ViT-B/32, ViT-L/14 for attributes"),
        ("hmdb51-vitl14-16f-splits", "HMDB-51, 16 frames, ViT-L/14, the model of k400-vitl14-16f"),
        ("zeroshot-k600", "Kinetics-600, 8 frames, the model of k400-vitl14-8f"),
    ],
)
def test_what_a_row_needs(row: str, text: str) -> None:
    assert needs(ZOO[row]) == text


@pytest.mark.parametrize("columns", [60, 80, 100, 200])
def test_the_table_fits_the_terminal(columns: int, tmp_path: Path) -> None:
    folder = tmp_path / "a-project-of-a-very-long-name-indeed-which-somebody-chose"
    make_project(folder, "charades-vitl14-336-16f", videos=4, expected=1863, measured=0)
    shown = run_bike("zoo", "list", "--projects", str(tmp_path), cwd=ROOT, COLUMNS=str(columns))
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    text = "".join(shown.stdout.split())
    assert "arehearsal" in text
    assert ("bikeinitfew-shot-hmdb51-16DIR" if columns == 200 else "`bikeinitROWDIR`") in text
    for name in ZOO:
        assert sum(f"{line} ".startswith(f"{name} ") for line in lines) == 1, name
