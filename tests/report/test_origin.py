"""Where figures come from: checksums for everyone, machines only on request, and doubtful files change nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from helpers.results import write_evaluation

from bike.files import sha256
from bike.params import Params
from bike.report.origin import RECORD, evaluation_of, fingerprint_table, fingerprints, origin_table
from bike.report.rows import results_table
from bike.report.run import build_report

LIST = "1" * 64


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two evaluations of a checkpoint and one of another; they share a list."""
    (tmp_path / "model.pt").write_bytes(b"weights")
    for place, model in (
        ("a/1x1", sha256(tmp_path / "model.pt")),
        ("a/4x3", sha256(tmp_path / "model.pt")),
        ("b", "2" * 64),
    ):
        write_evaluation(tmp_path / "results" / place)
        settings = {"model": model, "list": LIST, "prompt": "{}", "clips": 4, "frames": "F" * 64}
        (tmp_path / "results" / place / RECORD).write_text(json.dumps({"settings": settings}))
    metrics = sha256(tmp_path / "results/b/metrics.json")
    provenance = {
        "metrics.json": metrics,
        "commit": "c0ffee<b>",
        "dvc.lock": "3" * 64,
        "weights": {"sha256": "2" * 64},
        "device": "cpu, AMD",
    }
    (tmp_path / "results/b.provenance.json").write_text(json.dumps(provenance))
    os.utime(tmp_path / "results/b.provenance.json", (1_000_000_000, 1_000_000_000))
    return tmp_path / "results"


def test_checksums_are_named_once_with_those_that_read_them(results: Path) -> None:
    rows = results_table(results)
    ours = sha256(results.parent / "model.pt")
    assert fingerprint_table(rows) == [
        ("model", ours, "a/1x1, a/4x3"),
        ("list", LIST, "all"),
        ("model", "2" * 64, "b"),
    ]


def test_a_checkpoint_is_known_by_its_bytes(results: Path) -> None:
    rows, checkpoint = results_table(results), results.parent / "model.pt"
    found = evaluation_of(checkpoint, rows)
    assert found is not None
    assert found.place == "a/4x3"
    (results / "a/4x3/scores.safetensors").unlink()
    found = evaluation_of(checkpoint, rows)
    assert found is not None
    assert found.place == "a/1x1"
    checkpoint.write_bytes(b"other weights")
    assert evaluation_of(checkpoint, rows) is None


def test_a_file_about_other_results_says_nothing_of_these(results: Path) -> None:
    (results / "b/metrics.json").write_text('{"top1": 12.5, "videos": 24}')
    assert origin_table(results_table(results))[-1] == ("b", *["unknown"] * 5)


def test_machines_are_on_the_page_only_on_request(results: Path) -> None:
    lines = {line[0]: line[1:] for line in origin_table(results_table(results))}
    assert lines == {
        "a/1x1": ("unknown",) * 5,
        "a/4x3": ("unknown",) * 5,
        "b": ("c0ffee<b>", "3" * 64, "2" * 64, "cpu, AMD", "2001-09-09 01:46"),
    }
    for wanted in (False, True):
        build_report(results, results.parent / "out", params=Params(), provenance=wanted)
        page = (results.parent / "out/index.html").read_text()
        assert ("c0ffee&lt;b&gt;" in page, "cpu, AMD" in page) == (wanted, wanted)
        assert LIST in page


@pytest.mark.parametrize("text", ["{", "[]", '{"settings": 3}', '{"settings": {"model": ["x"], "list": 7}}', ""])
def test_a_damaged_record_is_none(results: Path, text: str) -> None:
    (results / "b" / RECORD).write_text(text)
    (results / "b.provenance.json").write_text(text)
    rows = results_table(results)
    assert fingerprints(rows[-1]) == {}
    assert origin_table(rows)[-1][:2] == ("b", "unknown")
