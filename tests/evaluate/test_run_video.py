"""Evaluations: the published scores, exactly N rows in any world, resumable, and files that agree with each other."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from helpers import fit_program
from helpers.contracts import save_model
from helpers.fit import run_processes, tiny_encoder
from helpers.fit_data import NAMES, DataSet, make_data
from helpers.shards import jpegs_of, write_folder
from helpers.videos import make_video
from ruamel.yaml import YAML
from safetensors.torch import load_file
from typer.testing import CliRunner

import stages.evaluate
from bike.commands.evaluate import evaluate as evaluate_command
from bike.errors import BikeError, DataError, ParamsError
from bike.evaluate.results import summary_line
from bike.evaluate.run_video import evaluate_video
from bike.evaluate.scores import read_scores
from bike.evaluate.views import video_scores
from bike.extract.run import extract_videos
from bike.files import read_json
from bike.model.heads import AttributeHead, VideoHead
from bike.model.weights import save_released
from bike.params import Extract, Views, load_params
from bike.provenance import provenance_path
from bike.records import Sample, read_list, write_labels, write_list
from bike.runtime.checkpoint import Place
from bike.shard.run import write_shards


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
    params = tmp_path / "params.yaml"
    params.write_text(f"model: {{frames: {frames}, short_side: 64}}\nevaluate: {{threads: 1}}\n")
    place, out = golden / "eval", tmp_path / "out"
    words = ["--params", params, "--list", place / "list.txt", "--frames", place / "frames"]
    printed = call(evaluate_command, golden / "released_format.pt", *words, "--views", views, "--out", out)
    found, expected = load_file(out / "scores.safetensors"), load_file(place / "scores.safetensors")
    torch.testing.assert_close(found["scores"], expected[f"T{frames}.crops{name}"], rtol=0, atol=1e-6)
    torch.testing.assert_close(found["logits"], expected[f"T{frames}.crops{name}.logits"], rtol=0, atol=1e-4)
    assert "6 videos" in printed


def test_published_style_lists_and_frame_folders_give_the_same_scores(data: DataSet, tmp_path: Path) -> None:
    """What the reference test does, on generated frames."""
    evaluate(data, tmp_path / "packs")
    lines = []
    for sample in read_list(data.train):
        write_folder(tmp_path / "frames" / sample.path, jpegs_of(data.frames / f"{sample.key}.mjpg"))
        lines.append(f"{sample.path} {sample.frames} {sample.labels[0]}\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    metrics = evaluate(data, tmp_path / "out", samples=tmp_path / "list.txt", frames=tmp_path / "frames")
    assert metrics == json.loads((tmp_path / "packs/metrics.json").read_text())
    assert torch.equal(read_scores(tmp_path / "out").scores, read_scores(tmp_path / "packs").scores)


def test_the_published_running_map_and_dense_views_are_told_in_the_metrics(data: DataSet, tmp_path: Path) -> None:
    metrics = evaluate(data, tmp_path / "out", published_map_batch=5)
    assert metrics["map_published"] != metrics["map"]
    whole = evaluate(data, tmp_path / "whole", published_map_batch=12)
    assert whole["map_published"] == whole["map"] == metrics["map"]
    assert evaluate(data, tmp_path / "dense", views=Views(dense=True))["dense"] is True


def test_the_stage_reports_the_running_map_in_each_of_its_views(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lists").mkdir()
    shutil.copy(data.train, "lists/test.csv")
    shutil.copy(data.labels, "lists/labels.csv")
    words = [data.root / "model.pt", "lists", data.frames, "out/{views}", "--params", data.params]
    words += ["--views", "1x1 2x3", "--published-map", "5"]
    monkeypatch.setattr("sys.argv", ["evaluate", *map(str, words)])
    monkeypatch.setenv("BIKE_WORKERS", "0")
    stages.evaluate.main()
    for name, views in (("1x1", Views(clips=1, crops=1)), ("2x3", Views(clips=2, crops=3))):
        ours = evaluate(data, tmp_path / name, views=views, published_map_batch=5)
        assert read_json(tmp_path / "out" / name / "metrics.json") == ours
        assert ours["map_published"] != ours["map"]


def test_some_frames_give_the_scores_of_all_where_the_drawn_ones_are_kept(data: DataSet, tmp_path: Path) -> None:
    """From videos to scores; where others are drawn, packs and shards give the same nearest ones."""
    for number in range(3):
        make_video(tmp_path / f"videos/{number}.mp4", 12 + number)
    for name, limit in (("all", None), ("few", 6)):  # a clip has 3 frames
        options = Extract(short_side=24, frames_per_video=limit)
        records = extract_videos(tmp_path / "videos", tmp_path / name, jobs=1, options=options)
        samples = [Sample(record.key, record.key, record.path, (0,), record.frames) for record in records]
        write_list(tmp_path / f"{name}.csv", samples)
        write_shards(samples, tmp_path / name, tmp_path / f"{name}-shards", names=NAMES, jobs=1)
    assert (tmp_path / "all.csv").read_bytes() == (tmp_path / "few.csv").read_bytes()
    found = {}
    for clips in (1, 2):
        for frames in ("all", "few", "few-shards"):
            out = tmp_path / f"{frames}{clips}"
            evaluate(data, out, samples=tmp_path / "all.csv", frames=tmp_path / frames, views=Views(clips=clips))
            found[frames, clips] = read_scores(out).scores
            told = json.loads((tmp_path / f"{out.name}.provenance.json").read_text())["data"]
            assert told.get("frames_per_video", "all").partition(" ")[0] == (frames if frames == "all" else "6")
    assert torch.equal(found["all", 1], found["few", 1])
    assert not torch.equal(found["all", 2], found["few", 2])
    assert all(torch.equal(found["few", clips], found["few-shards", clips]) for clips in (1, 2))


def test_files_of_an_evaluation_agree_with_each_other(data: DataSet, tmp_path: Path) -> None:
    metrics = evaluate(data, tmp_path / "out")
    out = tmp_path / "out"
    samples = read_list(data.train)
    assert json.loads((out / "metrics.json").read_text()) == metrics
    other_maps = {"map_seen_classes", "map_labelled_videos", "empty_classes", "unlabelled_videos"}
    main = {"top1", "top1_low", "top1_high", "top5", "mean_class", "map", "videos", "clips", "crops"}
    assert main | other_maps == set(metrics)
    assert (metrics["videos"], metrics["clips"], metrics["crops"]) == (12, 2, 3)
    assert read_json(provenance_path(out))["seconds"] > 0  # in none of the files that DVC hashes
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


def test_an_evaluation_of_other_settings_leaves_what_an_unfinished_one_has(data: DataSet, tmp_path: Path) -> None:
    root, state = data.root, data.root / ".other.state"
    (done,) = run_processes(1, fit_program.evaluate, str(root), "other", "6", "SIGINT")
    assert done.status == 130, done.errors
    kept = {path: path.read_bytes() for path in state.iterdir() if path.suffix == ".pt"}
    assert kept
    evaluate(data, root / "other", views=Views())
    assert {path: path.read_bytes() for path in state.iterdir() if path.suffix == ".pt"} == kept
    evaluate(data, root / "other", replace=True)
    evaluate(data, tmp_path / "whole")
    assert (root / "other/scores.safetensors").read_bytes() == (tmp_path / "whole/scores.safetensors").read_bytes()
    assert not state.exists()  # it was gone on with


@pytest.mark.parametrize("videos", [12, 2])
def test_three_processes_score_each_video_once(data: DataSet, tmp_path: Path, videos: int) -> None:
    """Also where there are more processes than videos."""
    root = tmp_path / "data"
    root.mkdir()
    for name in ("frames", "params.yaml", "labels.csv", "model.pt"):
        (root / name).symlink_to(data.root / name)
    write_list(root / "train.csv", read_list(data.train)[:videos])
    evaluate(data, tmp_path / "alone", samples=root / "train.csv")
    for ended in run_processes(3, fit_program.evaluate, str(root), "three"):
        assert ended.status == 0, ended.errors
    alone, three = read_scores(tmp_path / "alone"), read_scores(root / "three")
    assert three.keys == alone.keys
    torch.testing.assert_close(three.scores, alone.scores, rtol=0, atol=1e-6)
    assert (tmp_path / "alone/metrics.json").read_text() == (root / "three/metrics.json").read_text()


def test_a_finished_result_stays_until_the_new_one_is_whole(data: DataSet, tmp_path: Path) -> None:
    evaluate(data, tmp_path / "out")
    before = (tmp_path / "out/metrics.json").read_bytes()
    write_list(tmp_path / "list.csv", [*read_list(data.train)[:2], Sample("x", "x", "x.mp4", (0,), 6)])
    with pytest.raises(BikeError, match=r"finished work that would be thrown away \(5 files, .*; other list\)"):
        evaluate(data, tmp_path / "out", samples=tmp_path / "list.csv")
    with pytest.raises(DataError, match=r"sample x \(x.mp4\)"):
        evaluate(data, tmp_path / "out", samples=tmp_path / "list.csv", replace=True)
    assert (tmp_path / "out/metrics.json").read_bytes() == before
    assert (tmp_path / ".out.state").is_dir()  # what was finished is kept


def test_bad_input_is_named(data: DataSet, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_released(tmp_path / "attributes.pt", tiny_encoder(), AttributeHead(16), 0)
    write_list(tmp_path / "bare.csv", [replace(sample, labels=()) for sample in read_list(data.train)])
    for kind, said, options in (
        (BikeError, r"absent\.pt: no such file", {"checkpoint": tmp_path / "absent.pt"}),
        (BikeError, "holds an attribute branch", {"checkpoint": tmp_path / "attributes.pt"}),
        (ParamsError, r"--temporal.*has the head 'transf' \(got 'none'\)", {"temporal": "none"}),
        (ParamsError, "--interaction", {"interaction": "mean"}),
        (DataError, r"bare\.csv: no sample has a label.*bike predict", {"samples": tmp_path / "bare.csv"}),
    ):
        with pytest.raises(kind, match=said):
            evaluate(data, tmp_path / "out", **options)
    with pytest.raises(BikeError, match="can't be written"):
        evaluate(data, Path("/proc/nowhere"))
    words = ["--list", data.train, "--attributes", "a.json", "--out", tmp_path / "out", "--views", "4x3"]
    words += ["--set", "numerics=fast"]  # torch is there already
    with pytest.raises(BikeError, match="--attributes, --temporal, --views: the attribute branch sees no frames"):
        call(evaluate_command, data.root / "model.pt", *words, "--temporal", "none")
    assert not (tmp_path / "out").exists()


def test_a_part_without_labels_counts_for_no_accuracy(data: DataSet, tmp_path: Path) -> None:
    first, *others = read_list(data.train)
    write_list(tmp_path / "list.csv", [replace(first, labels=()), *others])
    metrics = evaluate(data, tmp_path / "out", samples=tmp_path / "list.csv")
    assert (metrics["videos"], metrics["unlabelled_videos"]) == (12, 1)
    assert "12 videos (1 without a label" in summary_line(metrics)
    assert len(rows_of(tmp_path / "out" / "confusion.csv")) == 11
    assert rows_of(tmp_path / "out" / "predictions.csv")[0]["label"] == ""


def with_model(data: DataSet, path: Path, **values: object) -> Path:
    """``data``'s params file with other values in ``model``."""
    tree = YAML(typ="safe", pure=True).load(data.params.read_text())
    tree["model"] |= values
    with path.open("w") as file:
        YAML().dump(tree, file)
    return path


def test_a_checkpoint_is_evaluated_as_it_was_trained_or_the_metrics_say_not(data: DataSet, tmp_path: Path) -> None:
    model = save_model(tmp_path / "model.pt")
    plain = evaluate(data, tmp_path / "plain", checkpoint=model)
    assert plain == evaluate(data, tmp_path / "old")  # as model.pt of the data set, which says nothing
    params = tmp_path / "params.yaml"
    for key, value in (("frames", 6), ("prompt", "a {}"), ("short_side", 18)):
        other = replace(data, params=with_model(data, params, **{key: value}))
        with pytest.raises(ParamsError, match=rf"model\.{key}: .*{value}.* was trained with"):
            evaluate(other, tmp_path / "refused", checkpoint=model)
        with_model(data, params, **{key: value}, allow_mismatch=[key, "head"])
        metrics = evaluate(other, tmp_path / key, checkpoint=model)
        assert list(metrics["mismatch"]) == [key]
        assert str(value) in metrics["mismatch"][key]
        assert json.loads((tmp_path / key / "metrics.json").read_text()) == metrics
    with pytest.raises(ParamsError, match="interaction: 'dp', but .* was trained with 'vcs'"):
        evaluate(data, tmp_path / "refused", checkpoint=model, interaction="dp")
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize("kind", ["beside the list", "shards", "checkpoint"])
def test_classes_in_another_order_are_an_error_and_not_zero_percent(data: DataSet, tmp_path: Path, kind: str) -> None:
    labels = tmp_path / "labels.csv"
    write_labels(labels, [NAMES[1], NAMES[0], NAMES[2]])
    options: dict[str, Any] = {"labels": labels}
    if kind != "beside the list":  # nothing else knows the names
        options["samples"] = tmp_path / "lists" / "train.csv"
        options["samples"].parent.mkdir()
        options["samples"].write_bytes(data.train.read_bytes())
    if kind == "shards":
        write_shards(data.train, data.frames, tmp_path / "shards", jobs=1)
        options["frames"] = tmp_path / "shards"
    if kind == "checkpoint":
        options["checkpoint"] = save_model(tmp_path / "model.pt")
    first = r"class 0 is 'green square' and 'red square' \(2 of 3 places differ; the same names in another order\)"
    with pytest.raises(BikeError, match=rf"{first}.*--allow-mismatch classes"):
        evaluate(data, tmp_path / "out", **options)
    allowed = replace(data, params=with_model(data, tmp_path / "params.yaml", allow_mismatch=["classes"]))
    assert "class 0 is" in evaluate(allowed, tmp_path / "out", **options)["mismatch"]["classes"]
    if kind == "shards":  # those of an earlier version say no names
        path = tmp_path / "shards" / "manifest.json"
        path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "names"}))
        assert "mismatch" not in evaluate(data, tmp_path / "old", **options)


def test_a_published_list_is_held_against_its_folders(
    data: DataSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    samples = read_list(data.train)
    for name, folders in (("named", [name.title().replace(" ", "") for name in NAMES]), ("plain", ["a", "b", "c"])):
        rows = [replace(s, path=f"{folders[s.labels[0]]}/{s.path}") for s in samples]
        write_list(tmp_path / name / "list.csv", [replace(rows[0], labels=(1,)), *rows[1:]])  # one may be wrong
    write_labels(tmp_path / "labels.csv", NAMES[::-1])
    write_labels(tmp_path / "rotated.csv", [*NAMES[1:], NAMES[0]])
    named: dict[str, Any] = {"samples": tmp_path / "named/list.csv"}
    evaluate(data, tmp_path / "right", **named)
    named["labels"] = tmp_path / "rotated.csv"
    with pytest.raises(DataError, match=r"'\w+Square.* folder of class \d \(\d+ of 12 rows\).*allow-mismatch classes"):
        evaluate(data, tmp_path / "out", **named)
    allowed = replace(data, params=with_model(data, tmp_path / "params.yaml", allow_mismatch=["classes"]))
    assert "folder" in evaluate(allowed, tmp_path / "out", **named)["mismatch"]["classes"]
    caplog.clear()
    evaluate(data, tmp_path / "told", samples=tmp_path / "plain/list.csv", labels=tmp_path / "labels.csv")
    assert "no class names in" in caplog.text
    assert "3 names" in caplog.text


def test_class_names_may_be_added_but_not_left_out(data: DataSet, tmp_path: Path) -> None:
    two = data.root / "two.csv"
    write_list(two, [sample for sample in read_list(data.train) if sample.labels[0] < 2])
    write_labels(tmp_path / "cut.csv", NAMES[:2])
    with pytest.raises(DataError, match="other classes, 2 and 3 classes"):
        evaluate(data, tmp_path / "out", samples=two, labels=tmp_path / "cut.csv")
    write_labels(tmp_path / "more.csv", [*NAMES, "another"])
    assert evaluate(data, tmp_path / "out", samples=two, labels=tmp_path / "more.csv")["empty_classes"] == 2


def test_scores_that_are_not_numbers_end_the_run(data: DataSet, tmp_path: Path) -> None:
    for value in (torch.nan, torch.inf):
        encoder = tiny_encoder()
        with torch.no_grad():
            encoder.visual.proj[0, 0] = value
        save_released(tmp_path / "model.pt", encoder, VideoHead(16, 1, num_layers=1), 0)
        with pytest.raises(DataError, match=r"12 of 12 videos have scores of NaN or infinity: video00; .*inspect"):
            evaluate(data, tmp_path / str(value), checkpoint=tmp_path / "model.pt")
        assert not (tmp_path / str(value) / "metrics.json").exists()
