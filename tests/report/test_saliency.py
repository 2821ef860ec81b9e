"""Saliency strips from a real (small, untrained) model and real frame packs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import torch
from helpers.fit import tiny_encoder
from helpers.results import NAMES, write_evaluation

from bike.data.spatial import normalize, test_crops
from bike.data.temporal import validation_indices
from bike.errors import DataError
from bike.evaluate.results import write_results
from bike.evaluate.scores import Scores, read_scores
from bike.files import sha256
from bike.frames.open import open_source
from bike.model.encoders import Encoder, encode_prompts
from bike.model.heads import VideoHead
from bike.model.weights import save_released
from bike.params import parse_params
from bike.records import Sample, VideoRecord, write_labels, write_list, write_manifest
from bike.report.run import build_report
from bike.report.saliency import SaliencyStrip, saliency_strips
from bike.text.prompts import class_prompts
from bike.text.tokenizer import tokenize

FRAMES = 12
PARAMS = parse_params({"model": {"frames": 4}, "report": {"clips": 3}}, "test")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return tiny_encoder()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Frame packs of six videos with random pictures, and a list of them."""
    generator = np.random.default_rng(0)
    records, samples = [], []
    for label in range(len(NAMES)):
        pictures = generator.integers(0, 255, (FRAMES, 24, 32, 3), np.uint8)
        pack = b"".join(simplejpeg.encode_jpeg(picture, quality=90) for picture in pictures)
        (tmp_path / "frames").mkdir(exist_ok=True)
        (tmp_path / "frames" / f"v{label}.mjpg").write_bytes(pack)
        records.append(VideoRecord(f"v{label}", f"v{label}.mp4", "ok", FRAMES, 25.0, 32, 24, FRAMES / 25, len(pack)))
        samples.append(Sample(f"v{label}", f"v{label}", f"v{label}.mp4", (label,), FRAMES))
    write_manifest(tmp_path / "frames" / "manifest.csv", records)
    write_list(tmp_path / "lists" / "test.csv", samples)
    write_labels(tmp_path / "lists" / "labels.csv", NAMES)
    return tmp_path


def strips_of(data: Path, encoder: Encoder, **kind: str) -> tuple[list[SaliencyStrip], str]:
    """The strips of a new checkpoint with this head, and the page that shows them."""
    torch.manual_seed(1)
    checkpoint, places = data / "model.pt", {"lists": data / "lists", "frames": data / "frames"}
    save_released(checkpoint, encoder, VideoHead(16, 1, num_layers=1, **kind).eval(), 1)  # type: ignore[arg-type]
    strips = saliency_strips(checkpoint, data / "frames", data / "lists", params=PARAMS)
    write_evaluation(data / "results" / "video-none-dp" / "1x1")
    build_report(data / "results", data / "out", params=PARAMS, checkpoint=checkpoint, **places)
    return strips, (data / "out" / "index.html").read_text()


def test_strips_show_the_models_own_weights(data: Path, encoder: Encoder) -> None:
    strips, _ = strips_of(data, encoder, temporal="none", interaction="vcs")
    assert len(strips) == 3
    source = open_source(data / "frames", [])
    head = VideoHead(16, 1, "none", "vcs")
    with torch.inference_mode():
        classes, tokens = encode_prompts(encoder, tokenize(class_prompts(NAMES)))
        for strip in strips:
            pictures = source.read(strip.key, validation_indices(FRAMES, 4))
            assert np.array_equal(strip.frames, pictures)
            crops = normalize(test_crops(torch.from_numpy(pictures), 16, 1))
            features = encoder.encode_image(crops).unsqueeze(0)
            label = int(strip.key[1:])
            assert strip.title == NAMES[label]
            assert strip.predicted == NAMES[int(head(features, tokens, classes).argmax())]
            expected = head.saliency(features, tokens, classes)[0, label]
            assert strip.saliency == pytest.approx(expected.numpy(), abs=1e-5)
            assert strip.saliency.sum() == pytest.approx(1, abs=1e-5)


def test_mistakes_of_the_checkpoints_own_evaluation_are_shown_first(data: Path, encoder: Encoder) -> None:
    torch.manual_seed(1)
    checkpoint = data / "model.pt"
    save_released(checkpoint, encoder, VideoHead(16, 1, num_layers=1, temporal="none", interaction="vcs").eval(), 1)
    targets = torch.eye(len(NAMES), dtype=torch.uint8)
    table = targets.float() * 0.4
    table[4, 1] = 0.9  # v4 is taken for class 1 with the highest score, v2 for class 0
    table[2, 0] = 0.5
    folder = data / "results/video-none-vcs/1x1"
    write_results(folder, Scores([f"v{i}" for i in range(len(NAMES))], list(NAMES), table, targets))
    (folder / ".bike-results.json").write_text(json.dumps({"settings": {"model": sha256(checkpoint)}}))
    scores = read_scores(folder)
    strips = saliency_strips(checkpoint, data / "frames", data / "lists", params=PARAMS, scores=scores)
    assert [(strip.key, strip.predicted) for strip in strips[:2]] == [("v4", NAMES[1]), ("v2", NAMES[0])]
    assert strips[2].predicted == strips[2].title
    assert [strip.mistaken is None for strip in strips] == [False, False, True]
    assert strips[0].mistaken is not None
    assert strips[0].mistaken.sum() == pytest.approx(1, abs=1e-5)
    assert not np.allclose(strips[0].mistaken, strips[0].saliency)
    places = {"lists": data / "lists", "frames": data / "frames", "checkpoint": checkpoint}
    build_report(data / "results", data / "out", params=PARAMS, **places)
    page = (data / "out" / "index.html").read_text()
    assert "score 0.9000, the class shown 0.4000" in page
    assert page.index("score 0.9000") < page.index("score 0.5000")
    assert "(<code>video-none-vcs/1x1/scores.safetensors</code>), and clips that it recognised" in page


def test_the_page_has_the_strips_that_concept_spotting_gives(data: Path, encoder: Encoder) -> None:
    _, page = strips_of(data, encoder, temporal="transf", interaction="vcs")
    assert page.count("data:image/jpeg") == 3 * 4
    assert "Not run: a checkpoint" not in page
    strips, page = strips_of(data, encoder, temporal="none", interaction="dp")
    assert strips == []
    assert "the checkpoint is not a video branch with concept spotting" in page


def test_trimmed_samples_show_their_part_and_a_label_without_name_is_an_error(data: Path, encoder: Encoder) -> None:
    write_list(data / "lists" / "test.csv", [Sample("v0-1", "v0", "v0.mp4", (0,), FRAMES, 0.16, 0.32)])
    (strip,), _ = strips_of(data, encoder, temporal="none", interaction="vcs")
    expected = open_source(data / "frames", []).read("v0", validation_indices(4, 4, first_frame=4))
    assert np.array_equal(strip.frames, expected)
    write_list(data / "lists" / "test.csv", [Sample("v0", "v0", "v0.mp4", (9,), FRAMES)])
    with pytest.raises(DataError, match="class 9 has no name"):
        strips_of(data, encoder, temporal="none", interaction="vcs")
