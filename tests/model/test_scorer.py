"""Frames and texts to features, each distinct one once; saliency of a class."""

from __future__ import annotations

import pytest
import torch
from helpers.fit import tiny_encoder

from bike.model.heads import VideoHead
from bike.model.scorer import Scorer, distinct_pictures, encode_captions, encode_frames, encode_sentences


def test_equal_frames_are_encoded_once() -> None:
    encoder = tiny_encoder()
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(256, (6, 3, 16, 16), generator=generator, dtype=torch.uint8)
    order = torch.tensor([0, 1, 2, 2, 1, 0, 3, 3])
    for repeated in (pictures[order], pictures[:, :, :15, :13][order]):
        found = distinct_pictures(repeated)
        assert found is not None
        rows, places = found
        assert len(rows) == 4
        assert torch.equal(repeated[rows][places], repeated)
    assert distinct_pictures(pictures) is None
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


def test_classes_that_the_encoder_reads_alike_are_told(caplog: pytest.LogCaptureFixture) -> None:
    long = "word " * 80
    names = ["A dog", "cat", "a  dog", long + "one", long + "two"]
    Scorer(tiny_encoder(), VideoHead(16, 1, "none"), names, "{}")
    assert "4 of 5 classes have the same text as another" in caplog.text
    assert "0 'A dog', 2 'a dog'; 3 'word word" in caplog.text
    caplog.clear()
    Scorer(tiny_encoder(), VideoHead(16, 1, "none"), ["a", "b"], "{}")
    assert not caplog.text


def test_saliency_is_of_the_class_asked_for() -> None:
    torch.manual_seed(0)
    scorer = Scorer(tiny_encoder(), VideoHead(16, 1, num_layers=1).eval(), ["a", "b"], "{}")
    features = torch.randn(3, 4, 16)
    weights = scorer.saliency(features, torch.tensor([0, 1, 1]))
    every = scorer.head.saliency(features, scorer.tokens, scorer.classes)
    torch.testing.assert_close(weights, torch.stack([every[0, 0], every[1, 1], every[2, 1]]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(weights.sum(1), torch.ones(3))
