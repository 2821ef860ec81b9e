"""The page: every section, every figure from its file, and names from files that are text and nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.pages import Structure
from helpers.results import (
    NAMES,
    PAIRS,
    make_strips,
    write_csv,
    write_data,
    write_evaluation,
    write_results,
    write_scored,
)

from bike.params import Params, parse_params
from bike.records import VideoRecord, write_manifest
from bike.report import page
from bike.report.data import AUDIT_COLUMNS, summarise_data
from bike.report.page import render_page
from bike.report.rows import results_table
from bike.report.saliency import SaliencyStrip

PARAMS = parse_params({"report": {"order_pairs": [list(pair) for pair in PAIRS]}}, "test")
EVIL = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>'",
    "</title></svg></style><svg onload=alert(1)>",
    "{{ 7 * 7 }} {% raw %} ${7*7}",
    "</text>\n<!-- ]]> --> javascript:alert(1) &lt;",
    "\u202eevil\x07\x1b[31m\u2028' style='x",
)


def page_of(root: Path, names: tuple[str, ...]) -> str:
    """The page of a results folder whose classes have these names."""
    write_results(root / "results", names=names)
    lists, manifest = write_data(root, names=NAMES)
    pairs = [[names[0], names[1]], [names[2], names[3]]]
    params = parse_params({"report": {"order_pairs": pairs}}, "test")
    shown = [SaliencyStrip(names[0], names[i], s.frames, s.saliency, names[i]) for i, s in enumerate(make_strips())]
    rejected = [VideoRecord(f"r{i}", name, "rejected", error=name) for i, name in enumerate(names)]
    write_manifest(manifest, rejected)
    write_csv(lists / "audit.csv", AUDIT_COLUMNS, [[name] * len(AUDIT_COLUMNS) for name in names])
    rows = results_table(root / "results", order_pairs=params.report.order_pairs)
    return render_page(rows, summarise_data(lists, manifest), params, strips=shown)


def test_names_from_files_are_text_and_nothing_else(tmp_path: Path) -> None:
    """The page of a hostile data set has the same tags and attributes as that of a harmless one."""
    harmless, hostile = Structure(page_of(tmp_path / "a", NAMES)), Structure(page_of(tmp_path / "b", EVIL))
    assert sorted(hostile.tags) == sorted(harmless.tags)
    assert hostile.open == harmless.open == []
    folded = " ".join(hostile.text.split())
    for name in EVIL[:5]:
        assert " ".join(name.split()) in folded
    assert "\\u202eevil\\x07\\x1b[31m ' style='x" in folded
    for tag, name, value in hostile.attributes:
        assert not name.startswith("on")
        if name == "style":
            assert re.fullmatch(r"(--\w+:[\d. /]+%?;?)+|color:var\(--\w+\)", value), (tag, value)
        if name == "src":
            assert value.startswith("data:image/jpeg;base64,")


def test_the_page_shows_every_section_and_asks_for_nothing_outside_itself(tmp_path: Path) -> None:
    html = page_of(tmp_path, NAMES)
    page = Structure(html)
    assert {tag for tag, _ in page.tags}.isdisjoint({"link", "iframe", "object", "embed", "form", "base"})
    assert all(value.startswith("#") for _, name, value in page.attributes if name in ("href", "xlink:href"))
    assert not re.search(r"@import|url\(|https?://", html)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
    assert ("meta", "content", policy + "base-uri 'none'; form-action 'none'") in page.attributes
    for row in results_table(tmp_path / "results", order_pairs=PAIRS):
        assert row.top1 is not None
        assert f"{row.top1:.1f}" in page.text
    assert "6 classes, 24 train samples, 24 val samples, 24 test samples" in page.text
    assert "6 of 6 files could not be used" in page.text
    assert "not run" not in page.text.replace("marked “not run”", "")
    tags = [tag for tag, _ in page.tags]
    assert (tags.count("img"), tags.count("svg")) == (3 * 8, 0)


def test_order_pairs_need_both_heads_in_the_same_views(tmp_path: Path) -> None:
    def page() -> str:
        rows = results_table(tmp_path, order_pairs=PAIRS)
        return Structure(render_page(rows, summarise_data(None, None), PARAMS)).text

    write_evaluation(tmp_path / "video-transf-vcs" / "4x3", seed=1)
    write_evaluation(tmp_path / "video-none-vcs" / "1x1", seed=2)
    assert "without temporal head, in the same views, is needed" in page()
    write_evaluation(tmp_path / "video-none-vcs" / "4x3", seed=2)
    assert "the two scores higher, in percent. Interaction vcs, 4×3 views." in page()
    (tmp_path / "video-none-vcs" / "4x3" / "scores.safetensors").unlink()
    assert "the right one of all classes is predicted, in percent (no scores file)" in page()


def test_the_matrix_of_few_classes_counts_videos(tmp_path: Path) -> None:
    names, labels = ("a<b", "c", "d"), [0, 0, 0, 0, 1, 1]
    write_scored(tmp_path / "fuse/1x1", np.eye(3)[[0, 0, 0, 2, 1, 0]], labels, names)
    html = render_page(results_table(tmp_path), summarise_data(None, None), Params())
    cells = re.findall(r'<td class="(hit|miss)( strong)?" style="--v:(\d+)%" title="([^"]+)">(\d)</td>', html)
    assert cells == [
        ("hit", " strong", "79", "a&lt;b: 3 of 4 as a&lt;b", "3"),
        ("miss", "", "36", "a&lt;b: 1 of 4 as d", "1"),
        ("miss", "", "58", "c: 1 of 2 as a&lt;b", "1"),
        ("hit", "", "58", "c: 1 of 2 as c", "1"),
    ]
    assert len(re.findall(r'<th scope="(?:row|col)" title="(?:a&lt;b|c|d)">', html)) == 6


def test_many_classes_make_a_small_page(tmp_path: Path) -> None:
    names = tuple(f"class {i}" for i in range(400))
    write_evaluation(tmp_path / "fuse" / "1x1", names=names, per_class=3, skill=0.5)
    html = render_page(results_table(tmp_path), summarise_data(None, None), Params())
    page = Structure(html)
    assert "400 classes with videos" in page.text
    assert ("figure", "data-names") in {(tag, name) for tag, name, _ in page.attributes}
    assert len(html) < 600_000


@pytest.mark.parametrize(
    ("right", "videos", "expected"), [(60, 60, (94.0, 100.0)), (5, 10, (23.7, 76.3)), (0, 10, (0.0, 27.8))]
)
def test_a_class_that_is_all_right_is_not_certain(right: int, videos: int, expected: tuple[float, float]) -> None:
    assert page._interval(right, videos) == pytest.approx(expected, abs=0.05)  # the values of Wilson's formula
