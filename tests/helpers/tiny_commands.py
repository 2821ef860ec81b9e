"""Every command that writes, on inputs so small that it takes a moment. What it writes lies in ``out``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from helpers import fit_data, shards
from helpers.annotations import write_rows, write_text
from helpers.contracts import save_model
from helpers.fit import tiny_encoder
from helpers.results import write_curves, write_evaluation
from helpers.scores import fake_scores
from helpers.videos import make_video

from bike.attributes.corpus import write_corpus
from bike.evaluate.scores import write_scores
from bike.extract.run import extract_videos
from bike.files.parts import Part
from bike.model.weights import save_safetensors
from bike.records import read_list
from bike.shard.run import write_shards

Words = list[str]
TRAINING: dict[str, object] = {"epochs": 2, "batch_size": 4}
SECTIONS: dict[str, dict[str, object]] = {
    "model": {"weights": "clip.safetensors"},  # found from wherever the folder is copied to
    "train": TRAINING,
    "train_attributes": TRAINING,
    "attributes": {"frames": 1, "top_k": 1, "batch_size": 2, "threads": 1},
    "report": {"clips": 0},
}
SAMPLES = ["--list", "val.csv", "--shards", "frames"]
LABELS = ["--labels", "labels.csv"]
HERE = ["--device", "cpu", "--workers", "0"]


def extract(folder: Path) -> Words:
    for name in "ab":
        make_video(folder / f"videos/{name}.mp4", 2)
    return ["extract", "videos", "out", "--jobs", "1"]


def annotate(folder: Path) -> Words:
    write_rows(folder / "clips.csv", [("path", "label"), ("a.mp4", "run"), ("b.mp4", "jump")])
    return ["annotate", "csv", "--source", "clips.csv", "--out", "out"]


def few_shot(folder: Path) -> Words:
    data = shards.make_data(folder, [3] * 4)
    write_text(folder / "train.txt", "".join(f"{s.path} {s.frames} {s.labels[0]}\n" for s in data.samples))
    return ["annotate", "few-shot", "train.csv", "--shots", "1", "--out", "out/few.csv"]


def shard(folder: Path) -> Words:
    shards.make_data(folder, [3] * 4)
    return ["shard", "train.csv", "out", "--frames", "frames", "--max-size", "20kB", "--jobs", "1"]


def preview(folder: Path) -> Words:
    data = shards.make_data(folder, [3] * 4)
    write_shards(data.list, data.frames, folder / "shards", jobs=1)
    return ["shards", "preview", "shards", "out/page.html"]


def merged_frames(folder: Path) -> Words:
    words = extract(folder)
    for number in (1, 2):
        extract_videos(folder / "videos", folder / "out", jobs=1, split=Part(number, 2))
    return [*words, "--merge"]


def merged_shards(folder: Path) -> Words:
    words = shard(folder)
    for number in (1, 2):
        place = folder / "train.csv", folder / "frames", folder / "out"
        write_shards(*place, max_size_mb=0.02, jobs=1, split=Part(number, 2))
    return [*words, "--merge"]


def _data(folder: Path) -> None:
    fit_data.make_data(folder, per_class=2, val_per_class=1, sections=SECTIONS)


def attributes(folder: Path) -> Words:
    _data(folder)
    write_text(folder / "lexicon.txt", "red\ngreen\n")
    lists = ["--list", "train.csv", "--list", "val.csv"]
    return ["attributes", "lexicon.txt", "out/attributes.json", *lists, "--frames", "frames", *HERE]


def train(folder: Path) -> Words:
    _data(folder)
    lists = ["--train", "train.csv", "--val", "val.csv", "--shards", "frames", *LABELS]
    return ["train", *lists, "--out", "out/model.pt", "--live", "out/live", *HERE]


def _corpus(folder: Path) -> list[str]:
    _data(folder)
    keys = [sample.key for name in ("train.csv", "val.csv") for sample in read_list(folder / name)]
    write_corpus(folder / "attributes.json", {key: ["red", "green"][:: 1 if len(key) % 2 else -1] for key in keys})
    return ["--attributes", "attributes.json", *LABELS]


def train_attributes(folder: Path) -> Words:
    return ["train", "--train", "train.csv", *_corpus(folder), "--out", "out/model.pt", *HERE]


def evaluate(folder: Path) -> Words:
    _data(folder)
    save_model(folder / "model.pt")
    return ["eval", "--checkpoint", "model.pt", *SAMPLES, *LABELS, "--out", "out", *HERE]


def zeroshot(folder: Path) -> Words:
    _data(folder)
    return ["zeroshot", *SAMPLES, *LABELS, "--out", "out", *HERE]


def fuse(folder: Path) -> Words:
    for seed, branch in enumerate(("video", "attributes")):
        (folder / branch).mkdir(parents=True)
        scores = dataclasses.replace(fake_scores(list("abcd"), seed), branch=branch)
        write_scores(folder / branch / "scores.safetensors", scores)
    return ["fuse", "video", "attributes", "--out", "out"]


def predict(folder: Path) -> Words:
    make_video(folder / "a.mp4", 3)
    save_model(folder / "model.pt")
    return ["predict", "a.mp4", "--checkpoint", "model.pt", "--json", "out/found.json", "--device", "cpu"]


def report(folder: Path) -> Words:
    write_evaluation(folder / "results/fuse/1x1")
    write_curves(folder / "results/pretrain", steps=4)
    return ["report", "results", "--out", "out"]


def manifest(folder: Path) -> Words:
    make_video(folder / "videos/a.mp4", 2)
    return ["manifest", "videos", "--out", "out/media.csv"]


def convert(folder: Path) -> Words:
    folder.mkdir(exist_ok=True)
    save_safetensors(folder / "clip.safetensors", tiny_encoder())
    return ["weights", "convert", "clip.safetensors", "out/clip.safetensors"]


def export(folder: Path) -> Words:
    folder.mkdir(exist_ok=True)
    save_model(folder / "model.pt")
    return ["export", "model.pt", "out/model.safetensors"]


def publish(folder: Path) -> Words:
    folder.mkdir(exist_ok=True)
    save_model(folder / "model.pt")
    return ["publish", "model.pt", "out"]


COMMANDS: dict[str, Callable[[Path], Words]] = {
    make.__name__: make
    for make in (
        extract, annotate, few_shot, shard, preview, attributes, train, train_attributes,
        evaluate, zeroshot, fuse, predict, report, manifest, convert, export, publish,
    )
}  # fmt: skip
MERGES: dict[str, Callable[[Path], Words]] = {make.__name__: make for make in (merged_frames, merged_shards)}
