"""The stills of the pretraining: captions say what is seen and where, never what happens."""

from __future__ import annotations

import re

import numpy as np
import pytest
from helpers.places import ROOT

from bike.demo.objects import BYSTANDERS, COLOURS, DRAW, PATTERNS
from bike.demo.scenes import CLASS_NAMES, PAIRS, Shape
from bike.pretrain.stills import TEMPLATES, Stills, render_stills
from bike.text.tokenizer import tokenize

MOTIONS = set(
    re.findall(
        "[a-z]+",
        """
    rolling climbing sinking growing shrinking joining splitting meeting driving filling draining swinging falling
    moving opening closing rising parting until roll climb sink grow shrink join split meet drive fill drain swing
    fall move rise part rolls climbs into becoming becomes up down then before after
        """,
    )
)
ALLOWED = {"close up", "very close up"}  # a place, as in "two cars close up"
LEXICON = ROOT / "lists" / "demo-lexicon.txt"


@pytest.fixture(scope="module")
def stills() -> Stills:
    return render_stills(1500, 32, seed=0)


def words_of(text: str) -> set[str]:
    for phrase in sorted(ALLOWED, key=len, reverse=True):
        text = text.replace(phrase, " ")
    return set(re.findall(r"[a-z]+", text.lower()))


def test_equal_arguments_give_equal_stills(stills: Stills) -> None:
    again, other = render_stills(40, 32, seed=5), render_stills(40, 32, seed=6)
    same = render_stills(40, 32, seed=5)
    assert np.array_equal(again.pictures, same.pictures)
    assert again.captions == same.captions
    assert not np.array_equal(again.pictures, other.pictures)
    assert stills.pictures.shape == (1500, 3, 32, 32)
    assert stills.pictures.dtype == np.uint8


def test_captions_do_not_name_motions(stills: Stills) -> None:
    verbs = {word for name in CLASS_NAMES for word in words_of(name) if word.endswith("ing")}
    assert len(verbs) == 13
    assert verbs <= MOTIONS
    seen = set().union(*(words_of(caption) for caption in stills.captions))
    assert not seen & MOTIONS
    assert not [word for word in seen if word.endswith("ing")]


def test_no_caption_holds_a_class_name(stills: Stills) -> None:
    assert not [name for name in CLASS_NAMES if any(name in caption for caption in stills.captions)]


def test_captions_name_things_colours_and_places(stills: Stills) -> None:
    seen = set().union(*(words_of(caption) for caption in stills.captions))
    assert set(COLOURS) | set(BYSTANDERS) | set(PATTERNS) <= seen
    assert {"left", "right", "top", "bottom", "small", "big", "one", "two", "empty", "full", "open", "closed"} <= seen
    assert any(caption.endswith("at night") for caption in stills.captions)
    assert not [caption for caption in stills.captions if re.search(r"\ba [aeiou]|\ban [^aeiou]|  ", caption)]


def test_captions_have_few_tokens_and_many_forms(stills: Stills) -> None:
    ids = tokenize(sorted(set(stills.captions)))
    assert int(ids.argmax(dim=1).max()) < 26
    assert len(set(stills.captions)) > 600
    assert any(template.startswith("This is a video about") for template in TEMPLATES)


@pytest.mark.parametrize("pair", PAIRS)
def test_words_follow_the_state_and_know_no_direction(pair) -> None:  # type: ignore[no-untyped-def]
    shape = Shape("red", (200, 30, 30), 0.5, 0.5, 0.3, 0.6)
    words = [pair.words(shape, u) for u in np.linspace(0, 1, 21)]
    assert len(set(words)) >= 4
    assert words[0] != words[10] != words[-1]
    assert len(pair.pose(shape, 0.5)) in (1, 2)


def test_the_lexicon_names_things_colours_and_flags_but_no_motions() -> None:
    phrases = LEXICON.read_text().splitlines()
    assert len(phrases) == len(set(phrases)) > 50
    assert not words_of(" ".join(phrases)) & MOTIONS
    for kind in DRAW:
        assert any(kind in phrase for phrase in phrases)
    for colour in COLOURS:
        assert sum(colour in phrase for phrase in phrases) >= len(PAIRS)
    for pattern in PATTERNS:
        assert sum(f"{pattern} flag" in phrase for phrase in phrases) == len(PAIRS)
    assert not [name for name in CLASS_NAMES if any(name in phrase for phrase in phrases)]
