"""Every reader on corrupted input: a value or one line, within a time limit and in bounded memory.

The suite tries a few inputs for each reader; ``make fuzz`` many (``BIKE_FUZZ`` says how many, ``BIKE_FUZZ_SEED`` where
to begin).
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.fuzz import limits, mutate
from helpers.models import hugging_face_folder, open_clip_config, save_archive, small
from helpers.results import write_results
from helpers.scores import fake_scores
from helpers.shards import make_data
from safetensors.torch import save_file

from bike.annotate.reading import read_annotation_json
from bike.attributes.corpus import read_corpus, write_corpus
from bike.errors import BikeError
from bike.evaluate.results import read_numbers
from bike.evaluate.scores import read_scores, write_scores
from bike.extract.journal import JOURNAL_NAME, open_journal, read_journal
from bike.extract.task import Recipe, Result, recipe_text
from bike.files import sha256
from bike.formats.lists import load_samples, read_rows
from bike.formats.packs import read_frames, scan_offsets
from bike.formats.shards import ShardIndex, parse_stored, read_shard_manifest
from bike.formats.tar import scan_members
from bike.model.formats.inspect import inspect_weights
from bike.model.heads import VideoHead
from bike.model.weights import load_clip, load_released, save_released
from bike.params import load_params
from bike.records import read_labels, read_manifest
from bike.report.curves import read_curves
from bike.report.rows import results_table
from bike.runtime.checkpoint import load_state, save_state
from bike.shard.run import write_shards
from bike.video.tars import tar_videos
from bike.zoo import load_zoo

COUNT, SEED = int(os.environ.get("BIKE_FUZZ", "10")), int(os.environ.get("BIKE_FUZZ_SEED", "0"))
Read = Callable[[Path], object]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sound file, or folder, of every kind."""
    root = tmp_path_factory.mktemp("sound")
    data = make_data(root, [3, 4])
    write_shards(data.list, data.frames, root / "shards", jobs=1)
    members = list(scan_members(root / "shards/00000.tar"))
    tar = (root / "shards/00000.tar").read_bytes()
    (root / "sample").mkdir()
    for name, member in zip(("sample.json", "payload"), members, strict=False):
        (root / "sample" / name).write_bytes(tar[member.offset :][: member.size])
    (root / "lines.txt").write_text("v_run/a 30 0\nv_run/b 40 1\n")
    (root / "tree.json").write_text(json.dumps({"database": {"a": {"annotations": [{"segment": [0.5, 2]}]}}}))
    write_corpus(root / "corpus.json", {"a": ["run", "jump"], "b": []})
    for name in ("params.yaml", "configs/zoo.yaml"):
        shutil.copy(Path(__file__).parents[2] / name, root)
    write_scores(root / "scores.safetensors", fake_scores(["a", "b"], 0, labels=(0, 1)))
    with open_journal(root / "frames") as journal:
        for record in read_manifest(root / "frames/manifest.csv"):
            journal.add(Result(record, stamp=(1, 2), recipe=recipe_text(Recipe())))
    write_results(root / "results")
    encoder = small()
    save_file(encoder.state_dict(), root / "clip.safetensors")
    save_archive(root / "archive.pt", encoder)
    for name, zipped in (("zip.pt", True), ("legacy.pt", False)):
        torch.save({"state_dict": encoder.state_dict()}, root / name, _use_new_zipfile_serialization=zipped)
    for name in ("released.pt", "released.safetensors"):
        save_released(root / name, encoder, VideoHead(24, 2), 3)
    save_state(root / "state.pt", {"step": 3, "tensor": torch.zeros(3)})
    hugging_face_folder(root / "hf", encoder)
    (root / "open_clip").mkdir()
    save_file(encoder.state_dict(), root / "open_clip/open_clip_model.safetensors")
    (root / "open_clip/open_clip_config.json").write_text(json.dumps(open_clip_config(encoder)))
    return root


def read_pack(path: Path) -> object:
    data = path.read_bytes()
    offsets = scan_offsets(data)
    return read_frames(data, offsets, range(min(len(offsets) - 1, 8)))


def read_index(path: Path) -> object:
    manifest = read_shard_manifest(path.parent)
    manifest["index"]["sha256"] = sha256(path)  # as someone who means harm would
    return ShardIndex(manifest, path)


def read_sample(path: Path) -> object:
    return parse_stored(path.read_bytes(), "clips__v000", (path.parent / "payload").stat().st_size, "x.tar")


# The file that is corrupted, below the sound ones, and what reads it.
READERS: dict[str, tuple[str, Read]] = {
    "tar": ("shards/00000.tar", lambda path: list(scan_members(path))),
    "tar of videos": ("shards/00000.tar", tar_videos),
    "shard index": ("shards/index.csv", read_index),
    "shard manifest": ("shards/manifest.json", lambda path: read_shard_manifest(path.parent)),
    "sample": ("sample/sample.json", read_sample),
    "pack": ("frames/clips__v000.mjpg", read_pack),
    "list": ("train.csv", load_samples),
    "published list": ("lines.txt", read_rows),
    "class names": ("labels.csv", read_labels),
    "manifest": ("frames/manifest.csv", read_manifest),
    "journal": (f"frames/{JOURNAL_NAME}", lambda path: read_journal(path.parent)),
    "annotation": ("tree.json", read_annotation_json),
    "metrics": ("results/fuse/1x1/metrics.json", read_numbers),
    "results": ("results/fuse/1x1/metrics.json", lambda path: results_table(path.parents[2])),
    "per class": ("results/fuse/1x1/per_class.csv", lambda path: results_table(path.parents[2])),
    "curves": ("results/pretrain/plots/metrics/train/loss.tsv", lambda path: read_curves(path.parents[4])),
    "corpus": ("corpus.json", read_corpus),
    "params": ("params.yaml", load_params),
    "zoo": ("zoo.yaml", load_zoo),
    "scores": ("scores.safetensors", read_scores),
    "safetensors": ("clip.safetensors", load_clip),
    "TorchScript": ("archive.pt", load_clip),
    "state dict": ("zip.pt", load_clip),
    "old state dict": ("legacy.pt", inspect_weights),
    "released checkpoint": ("released.pt", load_released),
    "the same as safetensors": ("released.safetensors", load_released),
    "saved state": ("state.pt", load_state),
    "Hugging Face's configuration": ("hf/config.json", lambda path: load_clip(path.parent)),
    "open_clip's configuration": ("open_clip/open_clip_config.json", lambda path: load_clip(path.parent)),
}


@pytest.mark.timeout(0)  # each input has its own
@pytest.mark.parametrize("name", READERS)
def test_corrupted_input_is_a_value_or_one_line(sound: Path, tmp_path: Path, name: str) -> None:
    where, read = READERS[name]
    folder = sound / where.split("/")[0]
    if folder.is_dir():
        shutil.copytree(folder, tmp_path / folder.name)
    path = tmp_path / where
    whole = (sound / where).read_bytes()
    path.write_bytes(whole)
    with limits():
        read(path)
    for number in range(SEED, SEED + COUNT):
        path.write_bytes(mutate(whole, random.Random(f"{name} {number}")))
        try:
            with limits():
                read(path)
        except BikeError as error:
            text = str(error)
            assert "\n" not in text, number
            assert len(text) <= 8000, number
        except BaseException as error:
            kept = Path(os.environ.get("TMPDIR", "/tmp")) / f"bike-fuzz-{name.replace(' ', '-')}-{number}"
            kept.write_bytes(path.read_bytes())
            error.add_note(f"input {number} of {name!r}, kept as {kept}")
            raise
