"""A page of `dvc plots` that opens without a network."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from helpers.projects import commit, git, run_in

from bike.errors import BikeError
from bike.project.plots import inline_scripts

pytest.importorskip("vl_convert", reason="needs the extra `plots`")


def test_the_page_of_dvc_has_its_scripts_within(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    run_in(tmp_path, "dvc", "init", "--quiet")
    (tmp_path / "loss.json").write_text(json.dumps([{"step": n, "loss": 1 / (1 + n)} for n in range(5)]))
    (tmp_path / "dvc.yaml").write_text("plots: [{loss.json: {x: step, y: loss}}]\n")
    commit(tmp_path)
    said = run_in(tmp_path, "bike.project.plots")
    assert said.strip().endswith("/dvc_plots/index.html")
    page = (tmp_path / "dvc_plots/index.html").read_text(encoding="utf-8")
    assert "src=" not in page.split("<body>")[0].replace("</script>", "").split("<script>")[0]
    assert 'src="http' not in page
    assert "vegaEmbed" in page
    assert '"loss"' in page
    with pytest.raises(BikeError, match="not a page of `dvc plots` as it is known here"):
        inline_scripts(tmp_path / "dvc_plots/index.html")  # done already


def test_without_the_extra_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(BikeError, match=r"pip install \"bike-video\[plots\]\""):
        inline_scripts(tmp_path / "index.html")
