"""What a checkpoint says of its training: stored, read back, compared; hostile contracts are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.contracts import FACTS, save_model, video_contract
from helpers.fit import tiny_encoder
from helpers.fit_data import NAMES

from bike.data.spatial import scaled_side
from bike.errors import ParamsError, WeightsError
from bike.files import sha256
from bike.model.choose import agree, agree_clip, load_video_model
from bike.model.contract import KEY, MAX_CHARS, Agreement, origin_of, read_contract
from bike.model.formats.inspect import inspect_weights
from bike.model.formats.official import OFFICIAL_FILES
from bike.model.heads import VideoHead
from bike.model.weights import load_clip, load_released, load_with_contract, save_released, save_safetensors
from bike.params import Model, Params


def test_a_contract_goes_round_and_other_readers_take_the_file(tmp_path: Path) -> None:
    names = [*NAMES[:2], "é\udcff"]  # a byte that is not UTF-8
    data = {"list": "a" * 64, "frames": "/somebody/s/place"}
    path = save_model(tmp_path / "model.pt", classes=names, data=data, training={"lr": 1e-3, "flip": None})
    contract = load_with_contract(path).contract
    assert contract == video_contract(classes=[*NAMES[:2], "é?"], data=data, training={"lr": 1e-3, "flip": None})
    assert read_contract(path) == contract
    assert contract.data == {"list": "a" * 64, "frames": "place"}  # no folder of this machine
    plain = torch.load(path, weights_only=True)
    assert {"epoch", "model_state_dict", "fusion_model_state_dict", "optimizer_state_dict"} < set(plain)
    found = inspect_weights(path)
    assert (found.problems, found.contract) == ([], contract)
    assert load_clip(path).input_size == 16
    again = save_model(tmp_path / "other" / "model.pt", classes=names, data=data, training={"lr": 1e-3, "flip": None})
    assert again.read_bytes() == path.read_bytes()
    torch.save({**plain, KEY: changed(something_new=[1, 2])}, path)  # of a newer version
    assert load_with_contract(path).contract == video_contract()


def changed(**values: object) -> str:
    return json.dumps({**json.loads(video_contract().text()), **values})


@pytest.mark.parametrize(
    "text",
    [
        5,
        b"{}",
        ["{}"],
        "",
        "{",
        "null",
        "[" * 100_000,
        " " * (MAX_CHARS + 1),
        changed(frames=10**30),
        changed(frames="8"),
        changed(frames=True),
        changed(frames=None),
        changed(prompt="no place"),
        changed(prompt="\ud800 {}"),
        changed(classes=[]),
        changed(classes="abc"),
        changed(classes=[1]),
        changed(kind="a\nb" * 1000),
        changed(kind="attributes"),
        changed(input_size=32),
        changed(temporal="none"),
        changed(interaction="dp"),
        changed(training={"lr": {"a": 1}}),
        changed(weights={"name": "x", "sha256": "no"}),
    ],
)
def test_a_damaged_or_false_contract_is_one_line(tmp_path: Path, text: object) -> None:
    path = save_model(tmp_path / "model.pt")
    torch.save({**torch.load(path, weights_only=True), KEY: text}, path)
    with pytest.raises(WeightsError, match=r"model\.pt: .*rain again") as caught:
        load_released(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    found = inspect_weights(path)
    assert found.contract is None
    assert found.problems == [str(caught.value).removeprefix(f"{path}: ")]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"short_side": 70_000}, r"short_side: .*65536"),
        ({"prompt": "\ud800 {}"}, "JSON"),
        ({"classes": ["a" * MAX_CHARS]}, "letters"),
    ],
)
def test_a_contract_that_could_not_be_read_back_is_not_made(facts: dict[str, Any], reason: str) -> None:
    with pytest.raises(ParamsError, match=rf"can't say what it is trained for \(.*{reason}"):
        video_contract(**facts)


@pytest.mark.parametrize(
    ("stated", "facts", "reason"),
    [
        (
            {"frames": 16},
            {"frames": 8},
            r"model\.frames: 16, but .*model\.pt was trained with 8\..*--allow-mismatch frames",
        ),
        ({"prompt": "a {}"}, {}, r"model\.prompt: 'a \{\}', but .* with 'This is a video about \{\}'"),
        ({"short_side": 20}, {}, r"model\.short_side: 20, but .* with None"),
    ],
)
def test_what_the_params_state_must_be_the_contracts(
    tmp_path: Path, stated: dict[str, Any], facts: dict[str, Any], reason: str
) -> None:
    model = load_video_model(save_model(tmp_path / "model.pt", **facts))
    with pytest.raises(ParamsError, match=reason):
        agree(Model(**stated), model)
    (name,) = stated
    chosen, agreement = agree(Model(**stated, allow_mismatch=[name]), model)
    assert (getattr(chosen, name), set(agreement.mismatch)) == (stated[name], {name})
    chosen, agreement = agree(Params().model, model)  # nothing stated: the contract's
    trained = {**FACTS, **facts}
    assert all(getattr(chosen, key) == trained[key] for key in ("frames", "prompt", "short_side"))
    assert agreement.mismatch == {}


def test_no_short_side_and_the_number_it_stands_for_are_one_value(tmp_path: Path) -> None:
    for stated, trained in ((16, None), (None, 16)):
        path = save_model(tmp_path / "model.pt", short_side=trained)
        chosen, agreement = agree(Model(short_side=stated), load_video_model(path))
        assert (scaled_side(chosen.short_side, 16), agreement.mismatch) == (16, {})
        params = agree_clip(Params(model=Model(short_side=stated)), path, model=["short_side"])
        assert scaled_side(params.model.short_side, 16) == 16
        with pytest.raises(ParamsError, match=r"short_side: 20, but .* was trained with (None|16)\."):
            agree_clip(Params(model=Model(short_side=20)), path, model=["short_side"])


def test_another_head_is_refused_or_noted(tmp_path: Path) -> None:
    path = save_model(tmp_path / "model.pt")
    with pytest.raises(ParamsError, match=r"interaction: 'dp', but .* was trained with 'vcs'"):
        agree(Model(), load_video_model(path, interaction="dp"))
    allowed = Model(allow_mismatch=["interaction", "head"])
    assert set(agree(allowed, load_video_model(path, interaction="dp"))[1].mismatch) == {"interaction"}
    with pytest.raises(ParamsError, match=r"head: 'a new one', but .* was trained with 'transf\+vcs'"):
        agree(Model(), load_video_model(None, path))  # --weights takes the encoder alone
    assert set(agree(allowed, load_video_model(None, path))[1].mismatch) == {"head"}


def test_what_training_began_with_must_be_what_the_params_name(tmp_path: Path) -> None:
    """By content; by name where the file is not here. An evaluation would otherwise file it under another's name."""
    first = save_model(tmp_path / "first.pt")
    other = save_model(tmp_path / "other.pt", training={"lr": 1e-3})
    tuned = save_model(tmp_path / "tuned.pt", start_from=origin_of(first, first).model_dump())
    fine = [(first, None), (first, first), (tuned, None), (tuned, first), (tuned, tuned), (tuned, "elsewhere/first.pt")]
    for file, named in fine:
        chosen = Model() if named is None else Model(start_from=str(named))
        assert agree(chosen, load_video_model(file))[1].mismatch == {}
    first_sum = rf"'first\.pt' \(SHA-256 {sha256(first)[:12]}…\)"
    for file, named, began in ((first, other, "CLIP's weights"), (tuned, other, first_sum), (tuned, "a.pt", first_sum)):
        chosen = Model(start_from=str(named))
        with pytest.raises(ParamsError, match=rf"model\.start_from: '{named}', but .*{file.name} began with {began}\."):
            agree(chosen, load_video_model(file))
        allowed = chosen.model_copy(update={"allow_mismatch": ["start_from"]})
        assert set(agree(allowed, load_video_model(file))[1].mismatch) == {"start_from"}


def test_weights_that_the_params_name_are_those_a_checkpoint_goes_back_to(tmp_path: Path) -> None:
    """By content; by name where they are not here, and what is not named is not asked for."""
    clip, other = tmp_path / "clip", tmp_path / "b"
    for seed, file in enumerate((clip, other)):
        save_safetensors(file, tiny_encoder(seed))
    path = save_model(tmp_path / "model.pt", weights=origin_of(clip, clip).model_dump())
    official = save_model(
        tmp_path / "b32.pt", weights={"name": "ViT-B/32", "sha256": OFFICIAL_FILES["ViT-B/32"].sha256}
    )
    for file, named in ((path, None), (path, clip), (path, "elsewhere/clip"), (official, "ViT-B/32")):
        chosen = Model() if named is None else Model(weights=str(named))
        assert agree(chosen, load_video_model(file))[1].mismatch == {}
    for file, named, theirs in ((path, other, "clip"), (path, "ViT-B/16", "clip"), (official, clip, "ViT-B/32")):
        chosen = Model(weights=str(named))
        with pytest.raises(ParamsError, match=rf"model\.weights: '{named}', but .*{file.name} goes back to '{theirs}'"):
            agree(chosen, load_video_model(file))
        allowed = chosen.model_copy(update={"allow_mismatch": ["weights"]})
        assert set(agree(allowed, load_video_model(file))[1].mismatch) == {"weights"}
    chosen = Model(weights=str(other), allow_mismatch=["head"])
    assert set(agree(chosen, load_video_model(None, path))[1].mismatch) == {"head"}  # it is taken as CLIP itself


def test_a_folder_is_the_weight_file_in_it(tmp_path: Path) -> None:
    """Training keeps the file's name and checksum; the params name the folder."""
    (tmp_path / "clip").mkdir()
    (tmp_path / "began").mkdir()
    clip, began = tmp_path / "clip/model.safetensors", save_model(tmp_path / "began/model.safetensors")
    save_safetensors(clip, tiny_encoder())
    weights, start = (origin_of(file, file).model_dump() for file in (clip, began))
    model = load_video_model(save_model(tmp_path / "model.pt", weights=weights, start_from=start))
    assert agree(Model(weights=str(clip.parent), start_from=str(began.parent)), model)[1].mismatch == {}
    with pytest.raises(ParamsError, match=r"model\.start_from: .*began with 'model.safetensors'"):
        agree(Model(start_from=str(clip.parent)), model)


def test_a_file_that_says_nothing_is_told_with_what_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_released(tmp_path / "old.pt", tiny_encoder(), VideoHead(16, 1, num_layers=1), 0)
    model = load_video_model(tmp_path / "old.pt")
    agree(Model(frames=16), model)
    assert "old.pt: doesn't say what it was trained with; taken are model.prompt 'This is a video" in caplog.text
    caplog.clear()
    agree(Model(frames=16, prompt="a {}"), model)
    agree(Model(), load_video_model(None, tmp_path / "old.pt"))  # CLIP alone, as it came
    assert caplog.messages == []


def test_classes_are_compared_by_name_and_place() -> None:
    agreement = Agreement(video_contract(), "model.pt", [])
    agreement.check_classes(NAMES, "labels.csv")
    for names, reason in (
        (NAMES[::-1], r"class 0 is 'blue square' and 'red square' \(2 of 3 places differ; the same names in another"),
        ([*NAMES[:2], "a\ndog"], r"class 2 is 'a dog' and 'blue square' \(1 of 3"),
        (NAMES[:2], "2 and 3 classes"),
    ):
        with pytest.raises(ParamsError, match=rf"labels\.csv and model\.pt differ: {reason}"):
            agreement.check_classes(names, "labels.csv")
    Agreement(None, "released.pt", []).check_classes(["any"], "labels.csv")
