"""The attribute corpus and its branch: made, read back, trained on, evaluated, stopped and resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import fit_program
from helpers.contracts import save_model
from helpers.fit import run_processes
from helpers.fit_data import NAMES, DataSet, make_data
from safetensors.torch import load_file
from torch.nn.functional import normalize

from bike.attributes.corpus import read_corpus, write_corpus
from bike.attributes.run import make_attributes, pair_lists, rank_phrases
from bike.data.spatial import normalize as normalize_frames
from bike.data.spatial import test_crops as cut_crops
from bike.data.temporal import validation_indices
from bike.errors import BikeError, DataError, ParamsError
from bike.evaluate.run_attributes import evaluate_attributes
from bike.evaluate.scores import read_scores
from bike.files.parts import MERGE, Part
from bike.frames.open import PackSource
from bike.model.heads import AttributeHead
from bike.model.weights import load_clip, load_released, load_with_contract, save_released
from bike.params import load_params
from bike.records import read_list, write_labels, write_list
from bike.runtime.checkpoint import Place, save_state
from bike.text.tokenizer import tokenize
from bike.train.branches import AttributeBranch
from bike.train.run_attributes import train_attributes

PHRASES = ["red", "green", "blue", "a dog", "noise", "square"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """The data set with a lexicon, and a corpus in which each video's attributes tell its class."""
    sections = {"attributes": {"top_k": 3, "frames": 4, "batch_size": 2}, "train_attributes": {"epochs": 3}}
    data = make_data(tmp_path_factory.mktemp("attributes") / "data", sections=sections, text_scale=30.0)
    (data.root / "lexicon.txt").write_text("# colours\n" + "\n".join(PHRASES) + "\n\n  red \n")
    telling = {
        sample.key: [NAMES[sample.labels[0]].split()[0], "square", "noise"]
        for path in (data.train, data.val)
        for sample in read_list(path)
    }
    write_corpus(data.root / "attributes.json", telling)
    return data


def make(data: DataSet, out: Path, **options: Any) -> dict[str, list[str]]:
    lists = [(data.train, data.frames), (data.val, data.frames)]
    place = Place(device="cpu", workers=0, **options)
    return make_attributes(
        load_params(data.params), lexicon=data.root / "lexicon.txt", lists=lists, out=out, place=place
    )


def test_the_best_phrases_are_those_nearest_to_the_mean_frame(data: DataSet, tmp_path: Path) -> None:
    corpus = make(data, tmp_path / "made.json")
    samples = [*read_list(data.train), *read_list(data.val)]
    assert list(json.loads((tmp_path / "made.json").read_text())) == sorted(sample.key for sample in samples)
    assert read_corpus(tmp_path / "made.json") == corpus
    encoder = load_clip(data.weights)
    source = PackSource(data.frames)
    with torch.no_grad():
        phrases = normalize(encoder.encode_text(tokenize([f"This is a video about {p}" for p in PHRASES]))[0], dim=1)
        for sample in samples[::5]:
            frames = torch.from_numpy(source.read(sample.video, validation_indices(sample.frames, 4)))
            mean = encoder.encode_image(normalize_frames(cut_crops(frames, 16, 1))).mean(0)
            order = (phrases @ mean).argsort(descending=True)[:3]
            assert corpus[sample.key] == [PHRASES[i] for i in order]


def test_an_interrupted_run_ends_with_equal_bytes(data: DataSet, tmp_path: Path) -> None:
    make(data, tmp_path / "whole.json")

    read, count = PackSource.read, 0

    def stopping(self: PackSource, video: str, indices: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == 15:  # in the second list
            raise KeyboardInterrupt
        return read(self, video, indices, **options)

    state = tmp_path / "state"
    (state / "0").mkdir(parents=True)
    save_state(state / "0/rows-0-000000.pt", {"job": "of other settings"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PackSource, "read", stopping)
        with pytest.raises(KeyboardInterrupt):
            make(data, tmp_path / "cut.json", state_dir=state, save_every_seconds=0)
        assert not (tmp_path / "cut.json").exists()
        before = count
        make(data, tmp_path / "cut.json", state_dir=state, save_every_seconds=0)
    assert count - before == 4  # of 18 videos, 14 were done
    assert (tmp_path / "cut.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert [path.name for path in state.rglob("*.pt")] == ["rows-0-000000.pt"]  # somebody's unfinished work


def test_parts_give_the_bytes_of_one_process(data: DataSet, tmp_path: Path) -> None:
    whole = make(data, tmp_path / "whole.json")
    out = tmp_path / "out.json"
    for number in (3, 1):
        assert make(data, out, split=Part(number, 3)) == {}
    with pytest.raises(BikeError, match="1 of 3 parts are missing.*: 2. Run"):
        make(data, out, split=MERGE)
    with pytest.raises(BikeError, match="was begun in 3 parts"):
        make(data, out, split=Part(2, 4))
    make(data, out, split=Part(2, 3))
    assert not out.exists()
    assert make(data, out, split=MERGE) == whole
    assert out.read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert not (tmp_path / ".out.json.state").exists()


def test_equal_cosines_keep_the_order_of_the_lexicon() -> None:
    phrases = torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    assert rank_phrases(torch.tensor([[3.0, 0.0], [0.0, 1.0]]), phrases, 3) == [[1, 2, 0], [0, 1, 2]]


def test_lists_meet_their_frames(data: DataSet, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    for name in ("train", "test"):
        (tmp_path / "shards" / name).mkdir(parents=True)
        lists.mkdir(exist_ok=True)
        (lists / f"{name}.csv").touch()
    shards = tmp_path / "shards"
    expected = [(lists / f"{name}.csv", shards / name) for name in ("train", "test")]
    assert pair_lists([lists], [shards]) == expected
    assert pair_lists([lists], [data.frames]) == [(path, data.frames) for path, _ in expected]
    assert pair_lists([data.train, data.val], [data.frames]) == [(data.train, data.frames), (data.val, data.frames)]
    with pytest.raises(BikeError, match="1 places for 2|2 places for 3"):
        pair_lists([data.train, data.val, data.val], [data.frames, data.frames])
    with pytest.raises(BikeError, match="none of train.csv"):
        pair_lists([tmp_path], [data.frames])


def train(data: DataSet, name: str, *, settings: dict[str, Any] | None = None, **places: Any) -> Path:
    params = load_params(data.params)
    section = params.train_attributes.model_copy(update=settings or {})
    done = train_attributes(
        params.model_copy(update={"train_attributes": section}),
        train_list=data.train,
        val_list=data.val,
        corpus=data.root / "attributes.json",
        labels=data.labels,
        out=data.root / f"{name}.pt",
        place=Place(device="cpu", **places),
    )
    assert done.latest("val/top1") is not None
    return done.checkpoint


def test_the_branch_learns_trains_its_head_only_and_is_evaluated(
    data: DataSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"epochs": 60, "warmup_epochs": 10.0, "lr": 3e-5, "validate_every": 30}
    places = {"live_dir": tmp_path / "live", "state_dir": tmp_path / "state"}
    checkpoint = train(data, "attributes", settings=settings, **places)
    encoder, head, epoch = load_released(checkpoint)
    assert isinstance(head, AttributeHead)
    assert epoch == 60
    before = load_clip(data.weights).state_dict()
    changed = {name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"logit_scale"}
    options: dict[str, Any] = {
        "checkpoint": checkpoint,
        "samples": data.val,
        "corpus": data.root / "attributes.json",
        "labels": data.labels,
        "place": Place(device="cpu", workers=0),
    }
    metrics = evaluate_attributes(load_params(data.params), out=tmp_path / "out", **options)
    assert metrics["top1"] == 100  # the attributes name the class
    assert "not the corpus" not in caplog.text
    scores = read_scores(tmp_path / "out")
    assert scores.num_views == 1
    assert scores.logits is not None
    assert (tmp_path / "live/plots/metrics/val/top1.tsv").is_file()
    assert not (tmp_path / "state").exists()
    with pytest.raises(BikeError, match="not a checkpoint"):
        evaluate_attributes(load_params(data.params), out=tmp_path / "no", **{**options, "checkpoint": data.weights})
    for section, key, value in (
        ("attributes", "top_k", 2),
        ("attributes", "prompt", "a {}"),
        ("model", "prompt", "{}"),
    ):
        params = load_params(data.params)
        changed = {section: getattr(params, section).model_copy(update={key: value})}
        with pytest.raises(ParamsError, match=rf"{section}\.{key}: .*attributes\.pt was trained with"):
            evaluate_attributes(params.model_copy(update=changed), out=tmp_path / "no", **options)
        allowed = params.model_copy(update={"model": params.model.model_copy(update={"allow_mismatch": [key]})})
        changed = {section: getattr(allowed, section).model_copy(update={key: value})}
        found = evaluate_attributes(allowed.model_copy(update=changed), out=tmp_path / section / key, **options)
        assert list(found["mismatch"]) == [key]
    write_labels(tmp_path / "labels.csv", NAMES[::-1])
    write_list(tmp_path / "lists" / "val.csv", read_list(data.val))
    other = {**options, "labels": tmp_path / "labels.csv", "samples": tmp_path / "lists" / "val.csv"}
    with pytest.raises(ParamsError, match="class 0 is 'blue square' and 'red square'"):
        evaluate_attributes(load_params(data.params), out=tmp_path / "no", **other)
    save_released(tmp_path / "old.pt", encoder, head, 60)  # which says no class names
    write_labels(tmp_path / "labels.csv", [*NAMES[1:], NAMES[0]])
    write_list(tmp_path / "lists" / "train.csv", read_list(data.train))
    other |= {"checkpoint": tmp_path / "old.pt", "samples": tmp_path / "lists" / "train.csv"}
    with pytest.raises(ParamsError, match=r"most videos of class 0 'green square' are given class 2 'red .* 3 classes"):
        evaluate_attributes(load_params(data.params), out=tmp_path / "no", **other)
    assert not (tmp_path / "no").exists()
    caplog.clear()
    write_corpus(tmp_path / "other.json", {key: ["red", "noise", "square"] for key in read_corpus(options["corpus"])})
    with pytest.raises(BikeError, match=r"would be thrown away \(.*; other corpus\)"):
        evaluate_attributes(
            load_params(data.params), out=tmp_path / "out", **{**options, "corpus": tmp_path / "other.json"}
        )
    assert "other.json: not the corpus that" in caplog.text
    write_labels(tmp_path / "labels.csv", [*NAMES[:2], "a circle"])
    allowed = params.model_copy(update={"model": params.model.model_copy(update={"allow_mismatch": ["classes"]})})
    with pytest.raises(BikeError, match=r"would be thrown away \(.*; other labels\)"):
        evaluate_attributes(allowed, out=tmp_path / "out", **{**options, "labels": tmp_path / "labels.csv"})


def test_clip_out_of_a_trained_checkpoint_has_its_contract(data: DataSet, tmp_path: Path) -> None:
    weights = str(save_model(tmp_path / "video.pt", prompt="it is {}", frames=4))
    params = load_params(data.params)
    chosen = params.model_copy(update={"attributes": params.attributes.model_copy(update={"weights": weights})})
    options: dict[str, Any] = {"lexicon": data.root / "lexicon.txt", "lists": [(data.val, data.frames)]}
    options |= {"out": tmp_path / "corpus.json", "place": Place(device="cpu", workers=0), "replace": True}
    left_out = make_attributes(chosen, **options)  # the file states no prompt: the contract's holds
    trained = {
        "train_list": data.train,
        "corpus": data.root / "attributes.json",
        "labels": data.labels,
        "place": Place(device="cpu"),
    }
    heads = []
    for name, section in (("left-out", {}), ("stated", {"prompt": "it is {}"})):
        update = {"model": params.model.model_copy(update={"weights": weights})}
        update["attributes"] = params.attributes.model_copy(update=section)
        train_attributes(params.model_copy(update=update), out=tmp_path / f"{name}.pt", **trained)
        heads.append(load_with_contract(tmp_path / f"{name}.pt"))
    assert heads[0].contract == heads[1].contract
    assert all(map(torch.equal, heads[0].head.state_dict().values(), heads[1].head.state_dict().values()))
    stated = {"attributes": chosen.attributes.model_copy(update={"prompt": "it is {}"})}
    assert make_attributes(chosen.model_copy(update=stated), **options) == left_out
    stated = {"attributes": chosen.attributes.model_copy(update={"prompt": "a {}"})}
    with pytest.raises(ParamsError, match=r"attributes\.prompt: 'a \{\}', but .*video\.pt was trained with 'it is"):
        make_attributes(chosen.model_copy(update=stated), **options)


def test_killed_training_ends_as_uninterrupted_and_in_any_world(data: DataSet) -> None:
    root, whole = data.root, train(data, "whole")
    (done,) = run_processes(1, fit_program.train, "attributes", str(root), "cut", "4", "SIGKILL", "save")
    assert done.status == -9, done.errors
    (done,) = run_processes(1, fit_program.train, "attributes", str(root), "cut")
    assert "going on after epoch 0, step 3" in done.errors
    assert whole.read_bytes() == (root / "cut.pt").read_bytes()
    for ended in run_processes(2, fit_program.train, "attributes", str(root), "pair"):
        assert ended.status == 0, ended.errors
    _, alone, _ = load_released(whole)
    _, pair, _ = load_released(root / "pair.pt")
    for one, other in zip(alone.parameters(), pair.parameters(), strict=True):
        assert (one - other).abs().mean() < 2e-4


def test_published_sentence_logits_are_reproduced(golden: Path) -> None:
    tensors = load_file(golden / "tensors.safetensors")
    encoder = load_clip(golden / "clip_fp16.safetensors")
    head = AttributeHead(encoder.embed_dim)
    head.load_state_dict({k: v.float() for k, v in load_file(golden / "attributes_head_fp16.safetensors").items()})
    with torch.no_grad():
        sentences = encoder.embed_text(tensors["sentence_ids"])
        branch = AttributeBranch(encoder, head, encoder.embed_text(tensors["text_ids"]), sentences)
        rows = torch.arange(len(sentences))
        logits = head(branch.classes, branch.embed(rows))
        torch.testing.assert_close(logits, tensors["sentence_logits"], rtol=0, atol=1e-5)
        labels = torch.tensor([3, 1, 3, 0])[rows % 4]
        expected = encoder.logit_scale.exp() * tensors["sentence_logits"][:, labels]
        torch.testing.assert_close(branch.logits(branch.embed(rows), labels), expected, rtol=1e-4, atol=1e-4)


def test_bad_input_is_named(data: DataSet, tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    params = load_params(data.params)
    with pytest.raises(DataError, match=r"few\.txt: 2 phrases, fewer than attributes\.top_k \(3\)"):
        make_attributes(
            params, lexicon=tmp_path / "few.txt", lists=[(data.train, data.frames)], out=tmp_path / "x.json"
        )
    with pytest.raises(BikeError, match="can't be written"):
        make(data, Path("/proc/nowhere/x.json"))
    write_corpus(tmp_path / "small.json", {"video00": ["red"]})
    with pytest.raises(DataError, match=r"small\.json: 11 of 12 videos"):
        train_attributes(
            params,
            train_list=data.train,
            corpus=tmp_path / "small.json",
            labels=data.labels,
            out=tmp_path / "x.pt",
            place=Place(device="cpu"),
        )
    assert not list(tmp_path.glob("x.*"))
