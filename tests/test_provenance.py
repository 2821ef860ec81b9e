"""provenance.json says where a result came from, and lies outside of what DVC hashes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.projects import git
from helpers.scores import fake_scores

from bike.errors import BikeError
from bike.evaluate.results import write_results
from bike.files import read_json, sha256
from bike.provenance import VERSIONS, provenance_path, write_provenance


def test_a_result_has_its_origin_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "--quiet")
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    git(tmp_path, "tag", "v1")  # a name is no commit
    scores = fake_scores(["a", "b", "c", "d"], 0, labels=(0, 1, 0, 0))
    origin = {"data": {"list": "1"}, "weights": {"sha256": "2"}, "params": {"model": {"frames": 8}}}
    write_results(tmp_path / "results/video/1x1", scores, origin=origin)
    path = tmp_path / "results/video/1x1.provenance.json"
    assert path == provenance_path(tmp_path / "results/video/1x1")
    found = read_json(path)
    assert found["commit"] == git(tmp_path, "rev-parse", "HEAD")
    assert found["dvc.lock"] == sha256(tmp_path / "dvc.lock")
    assert found["metrics.json"] == sha256(tmp_path / "results/video/1x1/metrics.json")
    assert {name: found[name] for name in origin} == origin
    assert set(VERSIONS) < set(found["versions"])
    assert (found["numerics"], found["threads"]) == ("fast", torch.get_num_threads())
    assert found["device"].startswith("cpu, ")
    assert len(found["device"]) > len("cpu, ")

    (tmp_path / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    before = path.read_bytes()
    write_provenance(tmp_path / "results/video/1x1", "metrics.json", origin, device="cpu")
    assert path.read_bytes() != before
    assert read_json(path)["commit"] == f"{git(tmp_path, 'rev-parse', 'HEAD')}-dirty"


def test_without_git_or_dvc_the_rest_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("PATH", "")
    (tmp_path / "r").mkdir()
    (tmp_path / "r/metrics.json").write_text("{}\n")
    write_provenance(tmp_path / "r", "metrics.json", {}, device="cpu")
    found = read_json(tmp_path / "r.provenance.json")
    assert (found["commit"], found["dvc.lock"]) == (None, None)


@pytest.mark.parametrize("text", ["mine", '{"versions": 1}'])
def test_a_file_of_somebody_else_in_its_place_stays(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.provenance.json").write_text(text)
    with pytest.raises(BikeError, match=r"r\.provenance\.json: is there already, and no run wrote it"):
        write_results(tmp_path / "r", fake_scores(list("abcd"), 0), origin={})
    assert (tmp_path / "r.provenance.json").read_text() == text
    assert not (tmp_path / "r").exists()
