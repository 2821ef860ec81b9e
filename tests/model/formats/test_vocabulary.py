"""The tokenizer beside weights is CLIP's, or they are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.models import hugging_face_folder

from bike.errors import WeightsError
from bike.model.encoders import Encoder
from bike.model.formats.vocabulary import check_vocabulary
from bike.model.weights import load_clip
from bike.text.tokenizer import tokenize


@pytest.fixture(scope="module")
def vocabulary() -> dict[str, int]:
    words = {"<|startoftext|>": 49406, "<|endoftext|>": 49407}
    words |= {f"{word}</w>": int(tokenize([word])[0, 1]) for word in ("a", "video", "archery")}
    return words | {f"#{number}": number for number in range(49408 - len(words))}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, ""),
        ({"archery</w>": 5}, "archery</w> has the id 5, in CLIP's tokenizer"),
        ({"<|endoftext|>": 2}, r"<\|endoftext\|> has the id 2"),
        ({"more": 49408}, "49409 words"),
        ({"a</w>": "1"}, "not a vocabulary"),
    ],
)
@pytest.mark.parametrize("name", ["vocab.json", "tokenizer.json"])
def test_vocabularies(
    tmp_path: Path, vocabulary: dict[str, int], name: str, change: dict[str, Any], problem: str
) -> None:
    words = {**vocabulary, **change}
    (tmp_path / name).write_text(json.dumps(words if name == "vocab.json" else {"model": {"vocab": words}}))
    (tmp_path / "spiece.model").touch()  # beside the other it is of no matter
    if not problem:
        check_vocabulary(tmp_path)
        return
    with pytest.raises(WeightsError, match=f"{name}: {problem}"):
        check_vocabulary(tmp_path)


def test_the_tokenizer_beside_the_weights_is_looked_at(tmp_path: Path, encoder: Encoder) -> None:
    folder = hugging_face_folder(tmp_path / "clip", encoder)
    (folder / "vocab.txt").touch()
    with pytest.raises(WeightsError, match=r"vocab\.txt: a tokenizer of another kind"):
        load_clip(folder)
