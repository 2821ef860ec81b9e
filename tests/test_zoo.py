"""The published models as presets: each resolves, builds, and prints commands that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.commands import check_command, run_bike
from helpers.places import ROOT

from bike.errors import ParamsError
from bike.model.count import count_image_flops
from bike.model.encoders import build
from bike.model.heads import AttributeHead, VideoHead
from bike.model.layers.architecture import OFFICIAL
from bike.params import load_params
from bike.project.hours import expected_hours
from bike.zoo import commands, find_preset, load_zoo, params_text

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


@pytest.mark.parametrize("weights", sorted({preset.params.model.weights for preset in ZOO.values()}))
def test_stated_operations_are_those_that_torch_counts(weights: str) -> None:
    stated = {preset.image_flops for preset in ZOO.values() if preset.params.model.weights == weights}
    assert stated == {count_image_flops(OFFICIAL[weights])}


def test_the_table_is_made_without_torch_and_pandas(tmp_path: Path) -> None:
    """They take seconds to load on a slow machine."""
    code = "import sys; from bike.commands.models.zoo import list_presets; list_presets(); "
    code += "print({'torch', 'pandas'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\nset()\n")


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


def test_the_commands_work_from_the_checkout(tmp_path: Path) -> None:
    listed = run_bike("zoo", "list", cwd=ROOT)
    assert listed.returncode == 0, listed.stderr
    assert "87.4 top1" in listed.stdout
    assert "not run here" in listed.stdout
    assert run_bike("zoo", cwd=ROOT).stdout == listed.stdout
    shown = run_bike("zoo", "show", "zeroshot-ucf101", cwd=ROOT)
    assert "model.weights: ViT-L/14" in shown.stdout
    assert "takes: about 0.0096 hours on 8 GPUs" in shown.stdout
    written = run_bike("zoo", "params", "ucf101-vitl14-16f", "--out", str(tmp_path / "p.yaml"), cwd=ROOT)
    assert written.returncode == 0
    assert load_params(tmp_path / "p.yaml").model.start_from == "models/k400-vitl14-16f.pt"


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="Did you mean 'k400-vitb16-8f'"):
        find_preset(ZOO, "k400-vitb16")
    few = "image_flops: {}\nfew_shot: {datasets: [], shots: [], parts: []}\n"
    for text, said in {
        f"parts: {{a: {{}}}}\npresets: {{x: {{dataset: a, task: train, parts: [b]}}}}\n{few}": "unknown part 'b'",
        f"parts: {{a: {{train: {{lrr: 1}}}}}}\npresets: {{x: {{dataset: a, task: train, parts: []}}}}\n{few}": "lrr",
        f"parts: {{}}\npresets: {{x: {{dataset: a, task: dance, parts: []}}}}\n{few}": "presets.x.task: ",
        f"parts: {{a: {{}}}}\npresets: {{x: {{dataset: a, task: train, parts: []}}}}\n{few}": "nothing of ViT-B/32",
        "parts: [": "not valid YAML",
    }.items():
        (tmp_path / "zoo.yaml").write_text(text)
        with pytest.raises(ParamsError, match=said):
            load_zoo(tmp_path / "zoo.yaml")


def test_the_zoo_is_found_from_any_folder(tmp_path: Path) -> None:
    done = run_bike("zoo", "show", "k400-vitb16-8f", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "model.weights: ViT-B/16" in done.stdout
