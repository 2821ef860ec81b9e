"""Publishing a model, and loading it again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.contracts import save_model, video_contract
from helpers.fit import tiny_encoder
from helpers.models import same_weights
from helpers.scores import fake_scores
from safetensors.torch import load_file, save_file
from torch import Tensor

import bike
from bike.errors import BikeError
from bike.evaluate.results import write_results
from bike.model.choose import load_video_model
from bike.model.contract import make_contract
from bike.model.formats.inspect import convert, inspect_weights
from bike.model.formats.read import weights_sha256
from bike.model.heads import AttributeHead, Interaction, Temporal, VideoHead
from bike.model.scorer import Scorer
from bike.model.weights import load_clip, load_released, save_released
from bike.records import read_labels
from bike.share.folder import FILES, export_safetensors, publish

HOSTILE = ["a: |\n---\n# b", "<script>alert(1)</script>", "![x](http://e.invalid/x.png) `c` | d", "€ \u202e \x1b[31m"]


def save(path: Path, temporal: Temporal, interaction: Interaction, classes: list[str]) -> Path:
    """A video branch whose classes differ, at epoch 7."""
    torch.manual_seed(1)
    head = VideoHead(16, 1, temporal, interaction, num_layers=1)
    contract = video_contract(temporal=temporal, interaction=interaction, classes=classes)
    save_released(path, tiny_encoder(text_scale=50), head, 7, contract)
    return path


def logits(model: Path) -> Tensor:
    loaded = load_video_model(model)
    assert loaded.contract is not None
    scorer = Scorer(loaded.encoder, loaded.head, loaded.contract.classes, loaded.contract.prompt)
    return scorer.score_frames(torch.arange(3 * 3 * 16 * 16).view(1, 1, 3, 3, 16, 16).to(torch.uint8))


@pytest.mark.parametrize(
    ("temporal", "interaction", "classes"),
    [("transf", "vcs", ["run", "jump"]), ("none", "dp", ["run", "jump"]), ("transf", "vcs", HOSTILE)],
)
def test_a_published_folder_is_the_same_model(
    tmp_path: Path, temporal: Temporal, interaction: Interaction, classes: list[str]
) -> None:
    model, out = save(tmp_path / "model.pt", temporal, interaction, classes), tmp_path / "out"
    publish(model, out)
    before, after = load_video_model(model), load_video_model(out)
    assert after.contract == before.contract
    assert (after.head.temporal, after.head.interaction) == (temporal, interaction)
    assert same_weights(after.encoder, before.encoder)
    assert same_weights(after.head, before.head)
    assert torch.equal(logits(out), logits(model))
    assert logits(out).std() > 1e-4
    assert load_released(out)[2] == 7
    assert json.loads((out / "config.json").read_text())["contract"]["classes"] == classes
    if classes is not HOSTILE:
        assert read_labels(out / "labels.csv") == classes


def test_what_is_published_is_a_weight_file_like_others(tmp_path: Path) -> None:
    model, out = save_model(tmp_path / "model.pt"), tmp_path / "out"
    publish(model, out)
    assert same_weights(load_clip(out), load_clip(model))
    assert {path.name for path in out.iterdir()} == {*FILES, ".bike-published.json"}
    found, known = inspect_weights(out), inspect_weights(model)
    assert (found.problems, found.head, found.contract) == ([], known.head, known.contract)
    assert convert(out, tmp_path / "head.safetensors", part="head") == len(load_video_model(model).head.state_dict())


def test_one_line_loads_a_published_folder(tmp_path: Path) -> None:
    model, out = save_model(tmp_path / "model.pt"), tmp_path / "out"
    publish(model, out)
    frames = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), dtype=np.uint8)
    assert bike.load(out).predict(frames) == bike.load(model).predict(frames)


def test_the_same_again_gives_the_same_bytes_and_another_model_needs_replace(tmp_path: Path) -> None:
    model, out = save_model(tmp_path / "model.pt"), tmp_path / "out"
    publish(model, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    publish(model, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    save_model(model, classes=["a", "b", "c"])
    with pytest.raises(BikeError, match="finished work that would be thrown away .*other card, model"):
        publish(model, out)
    publish(model, out, replace=True)
    assert read_labels(out / "labels.csv") == ["a", "b", "c"]


def test_only_a_video_branch_with_its_contract_is_published(tmp_path: Path) -> None:
    save_released(tmp_path / "old.pt", tiny_encoder(), VideoHead(16, 1, num_layers=1), 0)
    attributes = make_contract(
        kind="attributes", classes=["a"], data={}, prompt="{}", input_size=16, top_k=1, attribute_prompt="{}"
    )
    save_released(tmp_path / "attributes.pt", tiny_encoder(), AttributeHead(16), 0, attributes)
    for name in ("old.pt", "attributes.pt"):
        with pytest.raises(BikeError, match=f"{name}: holds no video branch that says what it was trained for"):
            publish(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def evaluated(folder: Path, model: Path) -> Path:
    """Results of made-up scores that say they are of this model."""
    origin = {"weights": {"file": model.name, "sha256": weights_sha256(model)}}
    write_results(folder, fake_scores(list("abcd"), 0), extra={"clips": 4, "crops": 3}, origin=origin)
    return folder


def test_the_card_has_the_metrics_of_this_model_alone(tmp_path: Path) -> None:
    model, other = save_model(tmp_path / "model.pt"), save_model(tmp_path / "other.pt", prompt="{}")
    results, strange = evaluated(tmp_path / "results/4x3", model), evaluated(tmp_path / "strange/4x3", other)
    publish(model, tmp_path / "out", results=[results], dataset="UCF-101")
    metrics = json.loads((results / "metrics.json").read_text())
    card = (tmp_path / "out/README.md").read_text()
    assert f"| top-1, 4x3 views | {metrics['top1']:.2f} | 4 |" in card
    assert "## Measured on UCF-101" in card
    with pytest.raises(BikeError, match="strange/4x3: measured with another model"):
        publish(model, tmp_path / "new", results=[strange])
    (results / "metrics.json").write_text(json.dumps({**metrics, "top1": 100.0}))
    with pytest.raises(BikeError, match=r"metrics.json: was changed after it was measured"):
        publish(model, tmp_path / "new", results=[results])
    (tmp_path / "results/4x3.provenance.json").unlink()
    with pytest.raises(BikeError, match="4x3.provenance.json: missing"):
        publish(model, tmp_path / "new", results=[results])
    assert not (tmp_path / "new").exists()


def test_export_of_either_branch_loads_as_before(tmp_path: Path) -> None:
    attributes = tmp_path / "attributes.pt"
    save_released(attributes, tiny_encoder(), AttributeHead(16), 3)
    for model in (save_model(tmp_path / "model.pt"), attributes):
        out = tmp_path / f"{model.stem}.safetensors"
        export_safetensors(model, out)
        for one, other in zip(load_released(out)[:2], load_released(model)[:2], strict=True):
            assert same_weights(one, other)
        with pytest.raises(BikeError, match="finished work that would be thrown away"):
            export_safetensors(model, out)
        with pytest.raises(BikeError, match="is read here, and would be replaced"):
            export_safetensors(out, out, replace=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("7", "not a checkpoint of a model and its head"),
        ('{"model_state_dict": {"a": 1}, "fusion_model_state_dict": 7}', "holds an attribute branch|CLIP"),
        ('{"contract": "{}"}', "what it says of its training is damaged"),
    ],
)
def test_texts_in_a_file_from_a_stranger(tmp_path: Path, text: str, message: str) -> None:
    export_safetensors(save_model(tmp_path / "model.pt"), tmp_path / "model.safetensors")
    tensors = load_file(tmp_path / "model.safetensors")
    if "model_state_dict" in text:
        tensors = {"model_state_dict.a": torch.zeros(1)}
    save_file(tensors, tmp_path / "bad.safetensors", {"bike": text})
    with pytest.raises(BikeError, match=message):
        load_video_model(tmp_path / "bad.safetensors")
