"""What counts as a stage's code: the files it imports, defaults and versions, wherever the package lies."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import ROOT

from bike.errors import BikeError
from bike.project import code
from bike.project.code import SECTIONS, check_code, code_text, write_code
from bike.provenance import VERSIONS


def test_the_versions_are_those_that_the_checkout_pins() -> None:
    lines = (ROOT / "constraints-results.txt").read_text(encoding="utf-8").splitlines()
    assert tuple(line.partition("==")[0] for line in lines if "==" in line) == VERSIONS


@pytest.mark.parametrize("stage", SECTIONS)
def test_a_stages_code_has_its_own_rooms_and_leaves_out_others(stage: str) -> None:
    names = [line.rsplit(" ", 1)[0] for line in code_text(stage).splitlines()]
    assert f"stages/{stage}.py" in names
    assert "bike/errors.py" in names
    assert "bike/params.py" not in names  # its defaults count by their values
    assert [name for name in names if name.startswith("defaults:")] == [f"defaults:{name}" for name in SECTIONS[stage]]
    assert ("bike/train/fit.py" in names) == stage.startswith("train")
    assert ("bike/extract/run.py" in names) == (stage in ("extract", "shard"))


def test_a_change_is_of_those_stages_that_import_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed file, default or version makes the hash files of its stages stale, and of no others."""
    for room in ("bike", "stages"):
        shutil.copytree(ROOT / room, tmp_path / "src" / room, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "PACKAGE", tmp_path / "src" / "bike")
    assert sorted(write_code(tmp_path, SECTIONS)) == sorted(SECTIONS)
    assert write_code(tmp_path, SECTIONS) == []
    for file in ("train/fit.py", "cli.py"):  # the second decides no result
        path = tmp_path / "src/bike" / file
        path.write_text(path.read_text(encoding="utf-8") + "# other\n", encoding="utf-8")
    for stage in SECTIONS:
        if stage.startswith("train"):
            with pytest.raises(BikeError, match=rf"code/{stage}\.txt: other code .*bike/train/fit\.py.*--renew"):
                check_code(stage, tmp_path)
        else:
            check_code(stage, tmp_path)
    assert sorted(write_code(tmp_path, SECTIONS)) == ["train", "train_attributes"]
    monkeypatch.setattr(code, "version_of", lambda package: "0" if package == "av" else "1")
    assert sorted(write_code(tmp_path, SECTIONS)) == sorted(SECTIONS)
    check_code("train", tmp_path / "elsewhere")  # no hash files: not a project


def test_stages_run_through_the_package(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bike.project.stage", "shard", "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "media.csv" in done.stdout or "--videos" in done.stdout, done.stderr
    wrong = subprocess.run(
        [sys.executable, "-m", "bike.project.stage", "dance"], cwd=tmp_path, capture_output=True, text=True
    )
    assert wrong.returncode == 1
    assert "annotate, attributes" in wrong.stderr
