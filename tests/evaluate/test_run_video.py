"""Evaluations: the published scores, exactly N rows in any world, resumable, and files that agree with each other."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from helpers import fit_program
from helpers.fit import run_processes, tiny_encoder
from helpers.fit_data import NAMES, DataSet, make_data
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from bike.checkpoint import Place
from bike.errors import BikeError, DataError, ParamsError
from bike.evaluate.results import summary_line, write_results
from bike.evaluate.run_fuse import fuse_results
from bike.evaluate.run_video import evaluate_video
from bike.evaluate.run_zeroshot import evaluate_zeroshot
from bike.evaluate.scores import Scores, read_scores, summarize, targets_of, write_scores
from bike.evaluate.views import choose_views, mean_scores, video_scores
from bike.formats.packs import scan_offsets
from bike.model.heads import AttributeHead, VideoHead
from bike.model.scorer import Scorer, distinct_pictures, encode_captions, encode_frames, encode_sentences
from bike.model.weights import save_released
from bike.params import Evaluate, Views, load_params
from bike.records import Sample, read_list, write_labels, write_list


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """The data set, and ``model.pt``: an untrained video branch."""
    data = make_data(tmp_path_factory.mktemp("evaluate") / "data")
    torch.manual_seed(1)
    save_released(data.root / "model.pt", tiny_encoder(), VideoHead(16, 1, num_layers=1), 0)
    return data


def evaluate(data: DataSet, out: Path, **options: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        "checkpoint": data.root / "model.pt",
        "samples": data.train,
        "frames": data.frames,
        "labels": data.labels,
        "views": Views(clips=2, crops=3),
        "place": Place(device="cpu", workers=0),
        **options,
    }
    return evaluate_video(load_params(data.params), out=out, **chosen)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def call(function: Callable[..., None], *words: object) -> str:
    """Run one command; what it printed."""
    app = typer.Typer()
    app.command()(function)
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize(
    ("frames", "views", "name"), [(8, "1x1", "1.clips1"), (8, "4x3", "3.clips4"), (16, "2x1", "1.clips2")]
)
def test_published_scores_are_reproduced(golden: Path, tmp_path: Path, frames: int, views: str, name: str) -> None:
    from bike.commands.evaluate import evaluate as command

    params = tmp_path / "params.yaml"
    params.write_text(f"model: {{frames: {frames}, short_side: 64}}\nevaluate: {{threads: 1}}\n")
    place, out = golden / "eval", tmp_path / "out"
    words = ["--params", params, "--list", place / "list.txt", "--frames", place / "frames"]
    printed = call(command, golden / "released_format.pt", *words, "--views", views, "--out", out)
    found, expected = load_file(out / "scores.safetensors"), load_file(place / "scores.safetensors")
    torch.testing.assert_close(found["scores"], expected[f"T{frames}.crops{name}"], rtol=0, atol=1e-6)
    torch.testing.assert_close(found["logits"], expected[f"T{frames}.crops{name}.logits"], rtol=0, atol=1e-4)
    assert "6 videos" in printed


def test_published_style_lists_and_frame_folders_give_the_same_scores(data: DataSet, tmp_path: Path) -> None:
    """What the reference test does, on generated frames."""
    evaluate(data, tmp_path / "packs")
    lines = []
    for sample in read_list(data.train):
        folder = tmp_path / "frames" / sample.path
        folder.mkdir(parents=True)
        pack = (data.frames / f"{sample.key}.mjpg").read_bytes()
        offsets = scan_offsets(pack)
        for number in range(sample.frames):
            (folder / f"img_{number + 1:05d}.jpg").write_bytes(pack[offsets[number] : offsets[number + 1]])
        lines.append(f"{sample.path} {sample.frames} {sample.labels[0]}\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    metrics = evaluate(data, tmp_path / "out", samples=tmp_path / "list.txt", frames=tmp_path / "frames")
    assert metrics == json.loads((tmp_path / "packs/metrics.json").read_text())
    assert torch.equal(read_scores(tmp_path / "out").scores, read_scores(tmp_path / "packs").scores)


def test_the_published_running_map_is_offered_beside_the_exact_one(data: DataSet, tmp_path: Path) -> None:
    metrics = evaluate(data, tmp_path / "out", published_map_batch=5)
    assert metrics["map_published"] != metrics["map"]
    whole = evaluate(data, tmp_path / "whole", published_map_batch=12)
    assert whole["map_published"] == whole["map"] == metrics["map"]


def test_files_of_an_evaluation_agree_with_each_other(data: DataSet, tmp_path: Path) -> None:
    metrics = evaluate(data, tmp_path / "out")
    out = tmp_path / "out"
    samples = read_list(data.train)
    assert json.loads((out / "metrics.json").read_text()) == metrics
    assert {"top1", "top5", "mean_class", "map", "videos", "clips", "crops"} == set(metrics)
    assert (metrics["videos"], metrics["clips"], metrics["crops"]) == (12, 2, 3)
    assert json.loads((out / "timing.json").read_text())["seconds"] > 0
    scores = read_scores(out)
    assert scores.keys == [sample.key for sample in samples]
    assert scores.names == NAMES
    assert scores.num_views == 6
    assert scores.logits is not None
    torch.testing.assert_close(video_scores(scores.logits, 6), scores.scores)
    predictions = rows_of(out / "predictions.csv")
    assert [int(row["label"]) for row in predictions] == [sample.labels[0] for sample in samples]
    right = sum(row["label"] == row["prediction"] for row in predictions)
    assert metrics["top1"] == pytest.approx(100 * right / 12, abs=1e-4)
    confusion = rows_of(out / "confusion.csv")
    assert [row["predicted"] for row in confusion] == [NAMES[int(row["prediction"])] for row in predictions]
    per_class = rows_of(out / "per_class.csv")
    assert [(row["name"], row["videos"]) for row in per_class] == [(name, "4") for name in NAMES]
    assert metrics["mean_class"] == pytest.approx(sum(float(row["top1"]) for row in per_class) / 3, abs=1e-3)
    assert metrics["map"] == pytest.approx(sum(float(row["ap"]) for row in per_class) / 3, abs=1e-3)
    assert not list(tmp_path.glob(".*"))


def test_killed_and_stopped_evaluations_end_as_uninterrupted_ones(data: DataSet) -> None:
    root = data.root
    evaluate(data, root / "whole")
    for words, status in ((("6", "SIGKILL"), -9), (("3", "SIGINT"), 130)):
        (done,) = run_processes(1, fit_program.evaluate, str(root), "cut", *words)
        assert done.status == status, done.errors
        assert not (root / "cut" / "metrics.json").exists()
    (done,) = run_processes(1, fit_program.evaluate, str(root), "cut")
    assert done.status == 0, done.errors
    assert "evaluate 2x3: 4/4 videos" in done.errors  # 4 were done before the kill, 4 more before the stop
    for name in ("metrics.json", "scores.safetensors", "predictions.csv", "per_class.csv", "confusion.csv"):
        assert (root / "whole" / name).read_bytes() == (root / "cut" / name).read_bytes(), name
    assert not (root / ".cut.state").exists()


def test_three_processes_score_each_video_once(data: DataSet) -> None:
    evaluate(data, data.root / "alone")
    for ended in run_processes(3, fit_program.evaluate, str(data.root), "three"):
        assert ended.status == 0, ended.errors
    alone, three = read_scores(data.root / "alone"), read_scores(data.root / "three")
    assert three.keys == alone.keys
    torch.testing.assert_close(three.scores, alone.scores, rtol=0, atol=1e-6)
    assert (data.root / "alone/metrics.json").read_text() == (data.root / "three/metrics.json").read_text()


def test_more_processes_than_videos_are_no_problem(data: DataSet, tmp_path: Path) -> None:
    small = tmp_path / "small"
    for name in ("frames", "params.yaml", "labels.csv", "model.pt"):
        small.mkdir(exist_ok=True)
        (small / name).symlink_to(data.root / name)
    write_list(small / "train.csv", read_list(data.train)[:2])
    for ended in run_processes(3, fit_program.evaluate, str(small), "out"):
        assert ended.status == 0, ended.errors
    assert len(read_scores(small / "out").keys) == 2


def test_a_finished_result_vanishes_while_a_new_one_is_made(data: DataSet, tmp_path: Path) -> None:
    evaluate(data, tmp_path / "out")
    write_list(tmp_path / "list.csv", [*read_list(data.train)[:2], Sample("x", "x", "x.mp4", (0,), 6)])
    with pytest.raises(DataError, match=r"sample x \(x.mp4\)"):
        evaluate(data, tmp_path / "out", samples=tmp_path / "list.csv")
    assert (tmp_path / ".out.state").is_dir()  # what was finished is kept


def test_zero_shot_protocols(data: DataSet, tmp_path: Path) -> None:
    params = load_params(data.params)
    names = [*NAMES, "white square", "black square"]
    write_labels(tmp_path / "labels.csv", names)
    (tmp_path / "split1.txt").write_text("\n".join(names[:2]))
    (tmp_path / "split2.txt").write_text("\n".join(names[2:]))
    options: dict[str, Any] = {"samples": data.train, "frames": data.frames, "views": Views()}
    options["place"] = Place(device="cpu", workers=0)
    metrics = evaluate_zeroshot(
        params,
        labels=tmp_path / "labels.csv",
        out=tmp_path / "out",
        class_splits=[tmp_path / "split1.txt", tmp_path / "split2.txt"],
        **options,
    )
    scores = read_scores(tmp_path / "out")
    assert scores.logits is not None
    logits, labels = scores.logits, scores.targets.long().argmax(1)
    encoder = tiny_encoder()
    captions = encode_captions(encoder, [f"This is a video about {name}" for name in names])
    dp = VideoHead(16, 1, "none", "dp")
    again = evaluate_zeroshot(
        params, labels=tmp_path / "labels.csv", out=tmp_path / "again", weights=str(data.weights), **options
    )
    assert again["top1"] == metrics["top1"]
    assert dp(torch.ones(1, 2, 16), None, captions[0]).shape == (1, 5)
    first, second = labels < 2, labels == 2
    values = [
        100 * float((logits[first, :2].argmax(1) == labels[first]).double().mean()),
        100 * float((logits[second, 2:].argmax(1) == 0).double().mean()),
    ]
    assert [metrics["split1_top1"], metrics["split2_top1"]] == pytest.approx(values, abs=1e-3)
    several = tmp_path / "several.csv"
    write_list(several, [replace(sample, labels=(0, 1)) for sample in read_list(data.train)])
    with pytest.raises(DataError, match="--split: videos with several labels"):
        evaluate_zeroshot(
            params,
            labels=tmp_path / "labels.csv",
            out=tmp_path / "several",
            class_splits=[tmp_path / "split1.txt"],
            **{**options, "samples": several},
        )
    assert metrics["split_top1_mean"] == pytest.approx(sum(values) / 2, abs=1e-3)
    assert "split_top1_std" in metrics
    with pytest.raises(DataError, match="'?grey'?"):
        write_labels(tmp_path / "bad.csv", ["grey", "red square"])
        evaluate_zeroshot(
            params, labels=tmp_path / "labels.csv", out=tmp_path / "o", class_splits=[tmp_path / "bad.csv"], **options
        )


def test_half_class_results_are_reported(data: DataSet, tmp_path: Path) -> None:
    names = [*NAMES, "white square"]
    write_labels(tmp_path / "labels.csv", names)
    samples = [Sample(s.key, s.video, s.path, (n % 4,), s.frames) for n, s in enumerate(read_list(data.train))]
    write_list(tmp_path / "list.csv", samples)
    metrics = evaluate_zeroshot(
        load_params(data.params),
        samples=tmp_path / "list.csv",
        frames=data.frames,
        labels=tmp_path / "labels.csv",
        out=tmp_path / "out",
        views=Views(),
        checkpoint=data.root / "model.pt",
        place=Place(device="cpu", workers=0),
    )
    assert 0 <= metrics["half_top1_mean"] <= 100
    assert metrics["half_top5_mean"] == 100  # two classes
    assert metrics["half_top1_std"] >= 0
    assert "half-class top-1" in summary_line(metrics)


def fake_scores(keys: list[str], seed: int, *, views: int = 2, labels: tuple[int, ...] = (0, 1, 2, 0)) -> Scores:
    logits = torch.randn(len(keys) * views, 3, generator=torch.Generator().manual_seed(seed))
    targets = targets_of([Sample(k, k, k, (label,), 1) for k, label in zip(keys, labels, strict=True)], 3)
    return Scores(keys, NAMES, video_scores(logits, views), targets, logits, views)


def test_fusion_matches_rows_by_key(tmp_path: Path) -> None:
    keys = ["a", "b", "c", "d"]
    video, other = fake_scores(keys, 0), fake_scores(keys[::-1], 1, views=1, labels=(0, 2, 1, 0))
    write_results(tmp_path / "video", video, seconds=1.0)
    write_results(tmp_path / "attributes", other, seconds=1.0)
    metrics = fuse_results(tmp_path / "video", tmp_path / "attributes", tmp_path / "fused", video_weight=0.7)
    fused = read_scores(tmp_path / "fused")
    assert video.logits is not None
    assert other.logits is not None
    expected = 0.7 * mean_scores(video.logits, 2) + 0.3 * mean_scores(other.logits, 1).flip(0)
    torch.testing.assert_close(fused.scores, expected)
    assert fused.keys == keys
    assert metrics["videos"] == 4
    with pytest.raises(DataError, match="fused scores can't be fused again"):
        fuse_results(tmp_path / "fused", tmp_path / "attributes", tmp_path / "twice")


def test_fusion_refuses_other_videos_and_labels(tmp_path: Path) -> None:
    write_results(tmp_path / "one", fake_scores(["a", "b", "c", "d"], 0), seconds=1.0)
    write_results(tmp_path / "two", fake_scores(["a", "b", "c", "e"], 0), seconds=1.0)
    write_results(tmp_path / "three", fake_scores(["a", "b", "c", "d"], 0, labels=(0, 1, 2, 1)), seconds=1.0)
    with pytest.raises(DataError, match="1 videos have scores of the video branch only: d"):
        fuse_results(tmp_path / "one", tmp_path / "two", tmp_path / "out")
    with pytest.raises(DataError, match="other labels"):
        fuse_results(tmp_path / "one", tmp_path / "three", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_multi_label_metrics() -> None:
    scores = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.4, 0.35, 0.25]])
    targets = torch.tensor([[0, 1, 1], [0, 0, 1], [0, 0, 0]], dtype=torch.uint8)
    metrics = summarize(Scores(["a", "b", "c"], NAMES, scores, targets))
    assert metrics["top1"] == 50  # of the two videos that show anything, the second
    assert metrics["top5"] == 100
    assert metrics["mean_class"] is None
    assert metrics["videos"] == 3
    # Class 1: its video stands second. Class 2: its videos stand first and third.
    assert metrics["map"] == pytest.approx(100 * (0 + 1 / 2 + (1 + 2 / 3) / 2) / 3, abs=1e-3)


def test_scores_have_reproducible_bytes_and_are_checked_when_read(tmp_path: Path) -> None:
    scores = fake_scores(["a", "b", "c", "é\udcff"], 0)
    path = tmp_path / "scores.safetensors"
    write_scores(path, scores)
    before = path.read_bytes()
    write_scores(path, scores)
    assert path.read_bytes() == before
    assert read_scores(path).keys == scores.keys
    with safe_open(path, "pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    for name, value in (
        ("scores", tensors["scores"][:2]),
        ("labels", tensors["labels"].float()),
        ("logits", tensors["logits"][:3]),
        ("scores", tensors["scores"] / 0),
        ("labels", tensors["labels"] + 1),
    ):
        save_file({**tensors, name: value}, path, header)
        with pytest.raises(DataError, match=r"scores\.safetensors: .*Evaluate again"):
            read_scores(path)
    for text in (None, {"bike": "[]"}, {"bike": '{"keys": ["a", "a"], "names": ["x"], "num_views": 1}'}, {"bike": "{"}):
        save_file(tensors, path, text)
        with pytest.raises(DataError, match="Evaluate again"):
            read_scores(path)
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="not a scores file"):
        read_scores(path)


def test_equal_frames_are_encoded_once() -> None:
    encoder = tiny_encoder()
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(256, (6, 3, 16, 16), generator=generator, dtype=torch.uint8)
    order = torch.tensor([0, 1, 2, 2, 1, 0, 3, 3])
    rows, places = distinct_pictures(pictures[order])
    assert rows is not None
    assert places is not None
    assert len(rows) == 4
    assert torch.equal(pictures[order][rows][places], pictures[order])
    assert distinct_pictures(pictures) == (None, None)
    odd = pictures[:, :, :15, :13][order]
    rows, places = distinct_pictures(odd)
    assert rows is not None
    assert torch.equal(odd[rows][places], odd)
    views = pictures[order].view(1, 2, 4, 3, 16, 16)
    separate = encode_frames(encoder, views.view(8, 1, 1, 3, 16, 16)).view(1, 2, 4, 16)
    torch.testing.assert_close(encode_frames(encoder, views), separate, rtol=1e-4, atol=1e-5)


def test_captions_that_repeat_are_encoded_once_and_stand_everywhere() -> None:
    encoder = tiny_encoder()
    texts = ["a dog", "a cat", "a dog"]
    classes, tokens = encode_captions(encoder, texts)
    assert torch.equal(classes[0], classes[2])
    assert tokens.shape == (3, 77, 16)
    torch.testing.assert_close(encode_sentences(encoder, texts), classes, rtol=1e-4, atol=1e-5)


def test_saliency_is_of_the_class_asked_for() -> None:
    torch.manual_seed(0)
    scorer = Scorer(tiny_encoder(), VideoHead(16, 1, num_layers=1).eval(), ["a", "b"], "{}")
    features = torch.randn(3, 4, 16)
    weights = scorer.saliency(features, torch.tensor([0, 1, 1]))
    every = scorer.head.saliency(features, scorer.tokens, scorer.classes)
    torch.testing.assert_close(weights, torch.stack([every[0, 0], every[1, 1], every[2, 1]]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weights.sum(1), torch.ones(3))


def test_views_by_name_or_by_numbers() -> None:
    settings = Evaluate(views={"long": Views(clips=9, crops=5, dense=True)})
    assert choose_views(settings, "long").dense
    assert choose_views(settings, "4x3") == Views(clips=4, crops=3)
    for bad in ("4x2", "0x1", "x", "long1", "4x3x2"):
        with pytest.raises(ParamsError, match="--views"):
            choose_views(settings, bad)


def test_bad_input_is_named(data: DataSet, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_released(tmp_path / "attributes.pt", tiny_encoder(), AttributeHead(16), 0)
    out = tmp_path / "out"
    with pytest.raises(BikeError, match=r"absent\.pt: no such file"):
        evaluate(data, out, checkpoint=tmp_path / "absent.pt")
    with pytest.raises(BikeError, match="holds an attribute branch"):
        evaluate(data, out, checkpoint=tmp_path / "attributes.pt")
    with pytest.raises(ParamsError, match=r"--temporal.*has the head 'transf' \(got 'none'\)"):
        evaluate(data, out, temporal="none")
    with pytest.raises(ParamsError, match="--interaction"):
        evaluate(data, out, interaction="mean")
    bare = [Sample(s.key, s.video, s.path, (), s.frames) for s in read_list(data.train)]
    write_list(tmp_path / "bare.csv", bare)
    with pytest.raises(DataError, match=r"bare\.csv: no sample has a label.*bike predict"):
        evaluate(data, out, samples=tmp_path / "bare.csv")
    with pytest.raises(BikeError, match="can't be written"):
        evaluate(data, Path("/proc/nowhere"))
    assert not out.exists()


def test_a_part_without_labels_counts_for_no_accuracy(data: DataSet, tmp_path: Path) -> None:
    samples = read_list(data.train)
    samples[0] = Sample(samples[0].key, samples[0].video, samples[0].path, (), samples[0].frames)
    write_list(tmp_path / "list.csv", samples)
    metrics = evaluate(data, tmp_path / "out", samples=tmp_path / "list.csv")
    assert metrics["videos"] == 12
    assert len(rows_of(tmp_path / "out" / "confusion.csv")) == 11
    assert rows_of(tmp_path / "out" / "predictions.csv")[0]["label"] == ""
