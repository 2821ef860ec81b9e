"""Tokenizer and prompts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from bike.files import sha256
from bike.text import tokenizer
from bike.text.prompts import attribute_sentence, class_prompts
from bike.text.tokenizer import END_OF_TEXT, START_OF_TEXT, tokenize


def test_ids_equal_the_published_ones(golden: Path) -> None:
    cases = json.loads((golden / "tokenizer.json").read_text())
    assert len(cases["text"]) > 10
    texts = list(cases["text"])
    assert tokenize(texts).tolist() == [cases["text"][text] for text in texts]
    for case in cases["attributes"]:
        assert tokenize([attribute_sentence(case["attributes"])])[0].tolist() == case["ids"]
    sentences = [attribute_sentence(case["attributes"]) for case in cases["attributes"]]
    assert tokenize(sentences).equal(load_file(golden / "tensors.safetensors")["sentence_ids"])


def test_ids_of_known_texts() -> None:
    ids = tokenize(["", "a", "This is a video about archery"])
    assert ids.shape == (3, 77)
    assert ids.dtype == torch.int64
    assert ids[0, :3].tolist() == [START_OF_TEXT, END_OF_TEXT, 0]
    assert ids[1, :4].tolist() == [START_OF_TEXT, 320, END_OF_TEXT, 0]
    assert ids[2, :7].tolist()[1:6] == [589, 533, 320, 1455, 781]
    assert tokenize([]).shape == (0, 77)


def test_the_merges_are_clips() -> None:
    """A fact, which no version changes: so no hash of a stage's code needs to follow it."""
    merges = Path(tokenizer.__file__).with_name("merges.txt")
    assert sha256(merges) == "d308b7377a8ceaa9707a21614fe8c831b9196e197b7aeb69833359362907af02"
    lines = merges.read_text(encoding="utf-8").splitlines()
    assert 2 * 256 + len(lines) == START_OF_TEXT
    assert [tokenize([text])[0, 1].item() for text in ("a", "jekyll")] == [320, START_OF_TEXT - 1]


def test_long_text_is_cut_with_end_of_text_last() -> None:
    for words in (74, 75, 76, 500):
        row = tokenize(["dog " * words])[0].tolist()
        length = min(words, 75)
        assert row[: length + 2] == [START_OF_TEXT, *[row[1]] * length, END_OF_TEXT]
        assert not any(row[length + 2 :])


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("HIGH\t Jump\n", "high jump"),
        ("&amp;amp; &lt;b&gt;", "& <b>"),
        ("“quotes” it’s", '"quotes" it\'s'),
        ("na\u00c3\u00afve", "naïve"),  # UTF-8 read as Latin-1
        ("\udcff", "\ufffd"),
    ],
)
def test_text_is_cleaned_first(text: str, same_as: str) -> None:
    assert tokenize([text]).equal(tokenize([same_as]))


def test_special_tokens_cannot_be_smuggled_in() -> None:
    row = tokenize(["a <|endoftext|> b <|startoftext|>"])[0].tolist()
    assert row.count(END_OF_TEXT) == 1
    assert row.count(START_OF_TEXT) == 1


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=600))
def test_any_text_gives_a_well_formed_row(text: str) -> None:
    row = tokenize([text])[0]
    end = int(row.argmax())
    assert row[0] == START_OF_TEXT
    assert row[end] == END_OF_TEXT
    assert not row[end + 1 :].any()
    assert tokenize([f"  {text}\n"])[0].equal(row)


WEIRD = ["<script>alert(1)</script>", "🚴" * 500, "{} {0} {name}", "100% & \\n", "日本語", "a\0b", "x" * 500]


def test_prompts_keep_names_as_they_are() -> None:
    assert class_prompts(["archery"]) == ["This is a video about archery"]
    assert class_prompts(["archery", ""], "{} filmed at home") == ["archery filmed at home", " filmed at home"]
    assert class_prompts([]) == []
    prompts = class_prompts(WEIRD)
    assert prompts == ["This is a video about " + name for name in WEIRD]
    assert tokenize(prompts).shape == (len(WEIRD), 77)
    assert attribute_sentence(WEIRD) == "This is a video about " + ",".join(WEIRD)


def test_attribute_sentence() -> None:
    assert attribute_sentence(["welding", "pole vault"]) == "This is a video about welding,pole vault"
    assert attribute_sentence(["welding"], "Seen: {}.") == "Seen: welding."
    assert attribute_sentence([]) == "This is a video about "


@pytest.mark.parametrize("template", ["no place", "{} and {}", "{name}", ""])
def test_template_needs_one_place(template: str) -> None:
    with pytest.raises(ValueError, match="exactly one {}"):
        class_prompts(["archery"], template)
    with pytest.raises(ValueError, match="exactly one {}"):
        attribute_sentence(["archery"], template)


def test_one_string_is_not_a_list_of_letters() -> None:
    for function in (class_prompts, attribute_sentence, tokenize):
        with pytest.raises(ValueError, match="one string"):
            function("archery")  # type: ignore[operator]
