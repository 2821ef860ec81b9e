"""A summary says "Measured here" only where weights, videos and protocol are the row's, and names each difference."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bike.files import read_json, write_json
from bike.model.formats.official import OFFICIAL_FILES
from bike.model.layers.architecture import OFFICIAL
from bike.params import parse_params
from bike.project import summary
from bike.project.protocol import plan
from bike.project.summary import summarize_project
from bike.records import write_labels
from bike.trees.overrides import merge

ROWS: dict[str, dict[str, float]] = {
    "ucf101-vitl14-16f": {"top1": 98.5, "top5": 99.9, "mean_class": 98.4, "map": 99, "videos": 3783},
    "anet-vitl14-16f": {"top1": 94.0, "map": 70, "map_published": 96.5, "videos": 4926},
    "zeroshot-ucf101": {"top1": 80.8, "half_top1_mean": 86.5, "half_top1_std": 3.5, "map": 80, "videos": 13320},
    "zeroshot-k600": {
        **{f"split{n}_top1": 70.0 for n in (1, 2, 3)},
        **{"split_top1_mean": 70.0, "split_top1_std": 0.0, "top1": 60.0, "videos": 19000},
        **{"split1_videos": 14119, "split2_videos": 14067, "split3_videos": 14161},
    },
}


def summarize(
    folder: Path, row: str, found: dict[str, float] | list[Path], changes: dict[str, Any]
) -> tuple[dict[str, float], str]:
    protocol, tree, _ = plan(row)
    if isinstance(found, dict):
        write_json(folder / "result/metrics.json", found)
        found = [folder / "result"]
    write_labels(folder / "lists/labels.csv", ["a|b", "c"])
    numbers = summarize_project(
        protocol,
        parse_params(merge(tree, changes), row),
        results=found,
        further={},
        zeroshot=None,
        lists=folder / "lists",
        metrics=folder / "metrics.json",
        page=folder / "summary.md",
    )
    assert numbers == read_json(folder / "metrics.json")
    return numbers, (folder / "summary.md").read_text(encoding="utf-8")


@pytest.fixture
def official(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights with the official checksums and architectures, which no test can have."""
    monkeypatch.setattr(summary, "_checksum", lambda name: OFFICIAL_FILES[name].sha256 if "ViT" in name else "0" * 64)
    monkeypatch.setattr(summary, "inspect_weights", lambda _: SimpleNamespace(architecture=OFFICIAL["ViT-L/14"]))


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.usefixtures("official")
def test_the_rows_own_measurement_is_called_one(row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "read_labels", lambda _: ["a|b"] * plan(row)[0].num_classes)
    free = {"train": {"threads": 1}, "evaluate": {"batch_size": 2, "precision": "auto"}, "shard": {"payload": "mp4"}}
    numbers, page = summarize(tmp_path, row, ROWS[row], free)
    assert numbers["measured"] == 1
    assert numbers["videos"] == numbers["expected"]
    assert len(numbers) <= 8
    assert "**Measured here**" in page
    assert "rehearsal" not in page
    if row.startswith("ucf"):
        assert "| top1 | 98.70 | 98.50 | -0.20 |" in page
    if row.startswith("anet"):
        assert numbers["map_published"] == 96.5
        assert "| map_published | 96.30 | 96.50 | +0.20 |\n| map | – | 70.00 | – |" in page
        assert "running mean over batches of 256 videos" in page
    else:
        assert "running mean" not in page


@pytest.mark.usefixtures("official")
def test_the_exact_map_does_not_stand_for_the_published_one(tmp_path: Path) -> None:
    numbers, page = summarize(tmp_path, "anet-vitl14-16f", {"top1": 94.0, "map": 96.3, "videos": 4926}, {})
    assert numbers["measured"] == 0
    assert "- map_published was published and not computed" in page
    assert "| map_published | 96.30 | – | – |" in page


@pytest.mark.parametrize(
    ("row", "found", "changes", "said"),
    [
        ("ucf101-vitl14-16f", {"videos": 104}, {}, "104 videos were scored, the published number scores 3,783"),
        ("zeroshot-k600", {"split2_videos": 14066}, {}, "14,119, 14,066, 14,161 videos were scored"),
        ("ucf101-vitl14-16f", {}, {"model": {"frames": 8}}, "model.frames is 8, the row has 16"),
        ("ucf101-vitl14-16f", {}, {"train": {"epochs": 10}}, "train.epochs is 10, the row has 20"),
        ("zeroshot-ucf101", {}, {"annotate": {"prompt_names": "readable"}}, "annotate.prompt_names is readable"),
        (
            "ucf101-vitl14-16f",
            {},
            {"model": {"weights": "ViT-B/32"}},
            "the weights are ViT-B/32, the row's are ViT-L/14",
        ),
        ("ucf101-vitl14-16f", {}, {"model": {"start_from": None}}, "did not start from a Kinetics-400 model"),
    ],
)
@pytest.mark.usefixtures("official")
def test_each_difference_makes_it_a_rehearsal(
    row: str, found: dict[str, float], changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    numbers, page = summarize(tmp_path, row, {**ROWS[row], **found}, changes)
    assert numbers["measured"] == 0
    assert "**A rehearsal, not the published measurement:**" in page
    assert said in page


@pytest.mark.usefixtures("official")
def test_an_incomplete_copy_is_marked(tmp_path: Path) -> None:
    _, page = summarize(tmp_path, "ucf101-vitl14-16f", ROWS["ucf101-vitl14-16f"], {"annotate": {"classes": "present"}})
    assert "- present classes only: 2 of 101" in page


@pytest.mark.usefixtures("official")
def test_splits_are_summed_up_as_mean_and_deviation(tmp_path: Path) -> None:
    row = "ucf101-vitl14-16f-splits"
    for number, (top1, videos) in enumerate(((98.0, 3783), (99.0, 3734), (97.0, 3696)), start=1):
        figures = dict.fromkeys(("top1", "top5", "mean_class", "map"), top1)
        write_json(tmp_path / f"{number}/metrics.json", {**figures, "videos": videos})
    numbers, page = summarize(tmp_path, row, [tmp_path / str(number) for number in (1, 2, 3)], {})
    assert numbers == {
        "split_top1_mean": 98.0,
        "split_top1_std": 0.82,  # of the three as a whole: the square root of 2/3
        **{"split1_top1": 98.0, "split2_top1": 99.0, "split3_top1": 97.0},
        **{"videos": 11213, "expected": 11213, "measured": 0},
    }
    assert "present classes only" in page  # the labels here are two
    assert "videos were scored" not in page


@pytest.mark.usefixtures("official")
def test_base_and_novel_classes_have_a_harmonic_mean(tmp_path: Path) -> None:
    found = {"split1_top1": 90.0, "split2_top1": 60.0, "split1_videos": 1934, "split2_videos": 1848, "top1": 70.0}
    numbers, page = summarize(tmp_path, "base-to-novel-ucf101", found, {})
    assert list(numbers) == ["harmonic_mean", "base_top1", "novel_top1", "videos", "expected", "measured"]
    assert [numbers[name] for name in ("harmonic_mean", "base_top1", "novel_top1")] == [72.0, 90.0, 60.0]
    assert "1,934, 1,848 videos were scored, the published number scores 1,934, 1,849" in page


def test_other_files_in_the_place_of_the_weights_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = "ucf101-vitl14-16f"
    monkeypatch.setattr(summary, "_checksum", lambda _: "f" * 64)
    monkeypatch.setattr(summary, "inspect_weights", lambda _: SimpleNamespace(architecture=OFFICIAL["ViT-B/32"]))
    numbers, page = summarize(tmp_path, row, ROWS[row], {})
    assert numbers["measured"] == 0
    assert "the file in the place of ViT-L/14 has another checksum than OpenAI's" in page
    assert "models/k400-vitl14-16f.pt is no ViT-L/14" in page
