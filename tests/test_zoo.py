"""The published models as presets: each resolves, builds, and prints commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.commands import check_command, run_bike
from helpers.places import ROOT

from bike.errors import ParamsError
from bike.files import write_json
from bike.model.encoders import build
from bike.model.heads import AttributeHead, VideoHead
from bike.model.layers.architecture import OFFICIAL
from bike.params import load_params
from bike.project.hours import expected_hours
from bike.zoo import commands, find_preset, load_zoo, measured, params_text

ZOO = load_zoo(ROOT / "configs" / "zoo.yaml")


def test_every_published_row_is_there() -> None:
    tasks = [preset.task for preset in ZOO.values()]
    assert tasks.count("zeroshot") == 4
    assert ZOO["zeroshot-k600"].splits == 3
    assert tasks.count("few-shot") == 4 * 5
    assert tasks.count("train") + tasks.count("fused") == 13
    assert ZOO["k400-vitl14-336-16f"].published == {"top1": 88.7}


@pytest.mark.parametrize("name", ZOO)
def test_each_preset_is_a_full_parameter_set_and_builds(name: str, tmp_path: Path) -> None:
    preset = ZOO[name]
    (tmp_path / "params.yaml").write_text(params_text(preset), encoding="utf-8")
    assert load_params(tmp_path / "params.yaml") == preset.params
    model = preset.params.model
    encoder = build(OFFICIAL[model.weights], device="meta")
    head = VideoHead(encoder.embed_dim, encoder.text_heads, model.temporal, model.interaction)
    assert encoder.input_size == (336 if "336" in name else 224)
    assert (model.temporal == "none") == (preset.task in ("few-shot", "base-to-novel"))
    assert sum(1 for _ in head.parameters()) == (0 if model.temporal == "none" else 1 + 6 * 12)
    assert sum(p.numel() for p in AttributeHead(encoder.embed_dim).parameters()) > 0


def test_presets_share_their_lines() -> None:
    """A preset states parts, no parameters."""
    text = (ROOT / "configs" / "zoo.yaml").read_text(encoding="utf-8").split("\npresets:")[1]
    assert not re.search(r"weights:|frames:|epochs:|batch_size:", text)


@pytest.mark.parametrize("name", ZOO)
def test_commands_name_options_that_exist(name: str) -> None:
    first, enter, *others = [line.split() for line in commands(ZOO[name])]
    check_command(first[1:], name)
    assert first[2:4] == [name, enter[1]]
    assert others == [["bike", "check"], ["dvc", "repro"]]


def test_expected_hours_grow_with_the_model() -> None:
    small, large = expected_hours(ZOO["k400-vitb16-8f"]), expected_hours(ZOO["k400-vitl14-336-16f"])
    assert 15 < large / small < 30
    # Few-shot lists are repeated to the full length; all videos are scored without training, three splits take thrice.
    assert expected_hours(ZOO["few-shot-ucf101-2"]) == expected_hours(ZOO["few-shot-ucf101-16"])
    ratio = expected_hours(ZOO["zeroshot-ucf101"]) / expected_hours(ZOO["zeroshot-hmdb51"])
    assert ratio == pytest.approx(13320 / 6766)
    ratio = expected_hours(ZOO["hmdb51-vitl14-16f-splits"]) / expected_hours(ZOO["hmdb51-vitl14-16f"])
    assert ratio == pytest.approx(3)


def test_measured_comes_from_a_projects_metrics_and_a_rehearsal_shows_no_figure(tmp_path: Path) -> None:
    assert measured(ZOO["anet-vitl14-16f"], tmp_path) == "not run here"
    for name, figures, shown in (
        ("anet-vitl14-16f", {"top1": 12.5, "map": 3.25, "top5": 9}, "12.5 top1, 3.25 map"),
        ("k400-vitl14-8f", {"top1": 87.0, "top1_1x1": 86.0}, "87 top1, 86 top1_1x1"),
        ("zeroshot-ucf101", {"top1": 80.5, "half_top1_mean": 86.5, "half_top1_std": 3.25}, None),
    ):
        file = tmp_path / name / "metrics.json"
        write_json(file, {**figures, "videos": 104, "expected": 3783, "measured": 0})
        assert measured(ZOO[name], tmp_path) == "a rehearsal, 104 of 3,783 videos"
        write_json(file, {**figures, "videos": 3783, "expected": 3783, "measured": 1})
        assert measured(ZOO[name], tmp_path) == (shown or "86.5 ± 3.25 half_top1_mean, 80.5 top1")


def test_the_commands_work_from_the_checkout(tmp_path: Path) -> None:
    listed = run_bike("zoo", "list", cwd=ROOT)
    assert listed.returncode == 0, listed.stderr
    assert "87.4 top1" in listed.stdout
    assert "not run here" in listed.stdout
    assert "bike zoo show few-shot-hmdb51-16" in listed.stdout
    assert run_bike("zoo", cwd=ROOT).stdout == listed.stdout
    shown = run_bike("zoo", "show", "zeroshot-ucf101", cwd=ROOT)
    assert "model.weights: ViT-L/14" in shown.stdout
    written = run_bike("zoo", "params", "ucf101-vitl14-16f", "--out", str(tmp_path / "p.yaml"), cwd=ROOT)
    assert written.returncode == 0
    assert load_params(tmp_path / "p.yaml").model.start_from == "models/k400-vitl14-16f.pt"


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="Did you mean 'k400-vitb16-8f'"):
        find_preset(ZOO, "k400-vitb16")
    few = "few_shot: {datasets: [], shots: [], parts: []}\n"
    for text, said in {
        f"parts: {{a: {{}}}}\npresets: {{x: {{dataset: a, task: train, parts: [b]}}}}\n{few}": "unknown part 'b'",
        f"parts: {{a: {{train: {{lrr: 1}}}}}}\npresets: {{x: {{dataset: a, task: train, parts: []}}}}\n{few}": "lrr",
        f"parts: {{}}\npresets: {{x: {{dataset: a, task: dance, parts: []}}}}\n{few}": "presets.x.task: ",
        "parts: [": "not valid YAML",
    }.items():
        (tmp_path / "zoo.yaml").write_text(text)
        with pytest.raises(ParamsError, match=said):
            load_zoo(tmp_path / "zoo.yaml")


def test_the_zoo_is_found_from_any_folder(tmp_path: Path) -> None:
    done = run_bike("zoo", "show", "k400-vitb16-8f", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "model.weights: ViT-B/16" in done.stdout
