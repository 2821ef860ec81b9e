"""Pretraining: it learns, it is a CLIP of OpenAI's form, and an interrupted run ends like an uninterrupted one."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import typer
from helpers.fit import StopsAfter
from typer.testing import CliRunner

from bike.errors import BikeError
from bike.model.weights import load_clip
from bike.params import Pretrain
from bike.pretrain.run import build_small_clip, count_parameters, pretrain_clip
from bike.pretrain.step import (
    CaptionBranch,
    Captioned,
    batch_rows,
    caption_accuracy,
    embed_pictures,
    learning_rate,
    pair_loss,
    restore_vocabulary,
    set_feature_norm,
    shrink_vocabulary,
)
from bike.pretrain.stills import render_stills
from bike.runtime.checkpoint import Place
from bike.text.tokenizer import tokenize
from bike.train import fit

TINY = Pretrain(
    threads=1,
    embed_dim=32,
    resolution=16,
    vision_width=64,
    vision_layers=1,
    text_layers=1,
    num_images=256,
    steps=12,
    batch_size=32,
    warmup_steps=3,
)


@pytest.fixture(scope="module")
def data() -> Captioned:
    return Captioned(render_stills(300, 16, seed=0), num_held_out=44)


def test_captions_keep_their_tokens_under_new_numbers(data: Captioned) -> None:
    stills = render_stills(300, 16, seed=0)
    wanted = tokenize(stills.captions)
    found = data.used[data.ids[data.which]]
    assert torch.equal(found, wanted[:, : found.shape[1]])
    assert not wanted[:, found.shape[1] :].any()
    assert torch.equal(found.argmax(dim=1), wanted.argmax(dim=1))


def test_the_shrunk_vocabulary_gives_the_same_embeddings_and_can_be_put_back(data: Captioned) -> None:
    encoder = build_small_clip(TINY)
    ids = data.used[data.ids[:20]]
    with torch.no_grad():
        wanted = encoder.embed_text(ids)
        before = encoder.token_embedding.weight.clone()
        whole = shrink_vocabulary(encoder, data.used)
        assert torch.allclose(encoder.embed_text(data.ids[:20]), wanted, atol=1e-6)
        encoder.token_embedding.weight.add_(1.0)
        restore_vocabulary(encoder, whole, data.used)
    after = encoder.token_embedding.weight
    assert len(after) == 49408
    changed = (after != before).any(dim=1).nonzero().flatten()
    assert torch.equal(changed, data.used)


def test_every_epoch_sees_every_still_once() -> None:
    rows = torch.cat([batch_rows(step, 256, TINY) for step in range(8)])
    assert torch.equal(rows.sort().values, torch.arange(256))
    again = torch.cat([batch_rows(step, 256, TINY) for step in range(8, 16)])
    assert not torch.equal(rows, again)
    assert torch.equal(again.sort().values, torch.arange(256))


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [learning_rate(step, TINY) for step in range(TINY.steps)]
    assert max(rates) == pytest.approx(TINY.lr) == rates[2]
    assert rates[0] == pytest.approx(TINY.lr / 3)
    assert rates[3:] == sorted(rates[3:], reverse=True)


def test_pair_loss_is_cross_entropy_when_every_caption_appears_once() -> None:
    logits = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    own = torch.arange(5)
    wanted = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    assert float(pair_loss(logits, own + 3)) == pytest.approx(float(wanted))


def test_pair_loss_shares_a_caption_among_its_pictures() -> None:
    labels = torch.tensor([4, 4, 7])
    right = 30 * torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert float(pair_loss(right, labels)) == pytest.approx(math.log(2) / 4, abs=1e-4)
    assert pair_loss(right.flip(1), labels) > 10


def test_pictures_are_compared_with_each_distinct_caption_in_order(data: Captioned) -> None:
    encoder = build_small_clip(TINY)
    shrink_vocabulary(encoder, data.used)
    branch, pictures = CaptionBranch(encoder, data), torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = branch.logits(pictures, torch.tensor([9, 2, 9]))
        wanted = torch.cat([branch.logits(pictures, torch.tensor([number])) for number in (2, 9)], dim=1)
    assert torch.allclose(found, wanted, atol=1e-5)


def test_feature_norm_changes_lengths_and_no_cosine(data: Captioned) -> None:
    encoder = build_small_clip(TINY)
    before = embed_pictures(encoder, data.pictures[data.held_out()])
    set_feature_norm(encoder, data, 0.25)
    after = embed_pictures(encoder, data.pictures[data.held_out()])
    assert after.norm(dim=1).mean().item() == pytest.approx(0.25, rel=1e-4)
    assert torch.allclose(F.cosine_similarity(before, after), torch.ones(len(after)), atol=1e-5)


def test_it_learns_which_caption_belongs_to_a_still(tmp_path: Path) -> None:
    longer = {"resolution": 32, "vision_layers": 2, "num_images": 1000, "steps": 160, "lr": 2e-3, "warmup_steps": 20}
    params = TINY.model_copy(update=longer)
    done = pretrain_clip(tmp_path / "clip.safetensors", params, place=Place(live_dir=tmp_path / "live"))
    with (tmp_path / "live" / "plots" / "metrics" / "pretrain" / "loss.tsv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file, delimiter="\t")]
    assert losses[-1] < losses[0] - 0.3
    assert done.loss == losses[-1]
    assert done.caption_top1 > 1  # chance is about 0.4


def test_the_file_is_a_clip_of_the_chosen_size(tmp_path: Path) -> None:
    done = pretrain_clip(tmp_path / "clip.safetensors", TINY)
    encoder = load_clip(tmp_path / "clip.safetensors")
    assert encoder.input_size == 16
    assert encoder.embed_dim == 32
    assert encoder.token_embedding.weight.shape == (49408, 64)
    assert encoder.context_length == 77
    assert done.parameters == count_parameters(encoder)
    classes, tokens = encoder.encode_text(tokenize(["This is a video about a ball rolling to the left"]))
    assert torch.isfinite(tokens).all()
    assert torch.isfinite(classes).all()
    stills = Captioned(render_stills(60, 16, seed=4), 60)
    lengths = embed_pictures(encoder, stills.pictures).norm(dim=1)
    assert lengths.mean().item() == pytest.approx(TINY.feature_norm, rel=0.2)


def test_an_interrupted_run_ends_with_the_same_bytes_and_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = TINY.model_copy(update={"steps": 130})  # a point every second step: the state holds half a point's loss
    place = Place(state_dir=tmp_path / "state", live_dir=tmp_path / "parts")
    pretrain_clip(tmp_path / "whole.safetensors", params, place=Place(live_dir=tmp_path / "whole"))
    with monkeypatch.context() as patch:
        patch.setattr(fit, "StopRequest", lambda: StopsAfter(9))
        with pytest.raises(KeyboardInterrupt):
            pretrain_clip(tmp_path / "parts.safetensors", params, place=place)
    assert (tmp_path / "state" / "state.pt").exists()
    assert not (tmp_path / "parts.safetensors").exists()
    pretrain_clip(tmp_path / "parts.safetensors", params, place=place)
    assert not (tmp_path / "state").exists()
    assert (tmp_path / "parts.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    curves = sorted((tmp_path / "whole").rglob("*.tsv"))
    assert [path.stem for path in curves] == ["caption_top1", "logit_scale", "loss", "lr"]
    for path in curves:
        assert path.read_text() == (tmp_path / "parts" / path.relative_to(tmp_path / "whole")).read_text()


def test_the_state_of_another_job_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(state_dir=tmp_path / "state")
    with monkeypatch.context() as patch:
        patch.setattr(fit, "StopRequest", lambda: StopsAfter(9))
        with pytest.raises(KeyboardInterrupt):
            pretrain_clip(tmp_path / "a.safetensors", TINY, place=place)
    other = TINY.model_copy(update={"seed": 1})
    with pytest.raises(BikeError, match=r"pretrain\.seed is \d there and 1 here"):
        pretrain_clip(tmp_path / "a.safetensors", other, place=place)
    pretrain_clip(tmp_path / "a.safetensors", other, place=replace(place, fresh=True))
    pretrain_clip(tmp_path / "fresh.safetensors", other)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "fresh.safetensors").read_bytes()


def test_a_loss_that_is_no_number_is_one_line(tmp_path: Path) -> None:
    params = TINY.model_copy(update={"lr": 1e30, "warmup_steps": 0})
    with pytest.raises(BikeError, match=r"no longer a number.*Lower pretrain_strong\.lr"):
        pretrain_clip(tmp_path / "clip.safetensors", params, section="pretrain_strong")


def test_the_command_pretrains(tmp_path: Path) -> None:
    from bike.commands.pretrain import pretrain

    app = typer.Typer()
    app.command()(pretrain)
    (tmp_path / "params.yaml").write_text(
        "pretrain: {threads: 1, embed_dim: 32, resolution: 16, vision_width: 64, vision_layers: 1, text_layers: 1}\n"
    )
    options = {"--params": tmp_path / "params.yaml", "--state": tmp_path / "state", "--images": 200, "--steps": 2}
    words = [str(word) for option in options.items() for word in option]
    found = CliRunner().invoke(app, [str(tmp_path / "c.safetensors"), *words])
    assert found.exit_code == 0, found.output
    assert "M parameters beside the token table" in found.output
    assert load_clip(tmp_path / "c.safetensors").embed_dim == 32


def test_held_out_stills_are_not_trained_on(data: Captioned) -> None:
    assert data.num_train == 256
    assert torch.equal(data.held_out(), torch.arange(256, 300))
    rows = torch.cat([batch_rows(step, data.num_train, TINY) for step in range(20)])
    assert not set(rows.tolist()) & set(data.held_out().tolist())
    assert 0 <= caption_accuracy(build_small_clip(TINY), data) <= 100
