"""CLIP's byte-pair tokenizer: text to 77 ids, or as many as a text tower takes."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import ftfy
import torch
from jaxtyping import Int64
from torch import Tensor

CONTEXT_LENGTH = 77
START_OF_TEXT = 49406
END_OF_TEXT = 49407  # the highest id of all: the text tower finds the end of a text by it

_MERGES = Path(__file__).with_name("merges.txt")  # OpenAI's, without the lines that CLIP does not use
_WORD_END = "</w>"
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


def _clean(text: str) -> str:
    """Repair what CLIP's authors repair before tokenizing: mojibake, curly quotes, HTML entities (twice), white space.

    Undecodable bytes of a file name (surrogates) become U+FFFD.
    """
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split())


def tokenize(texts: Sequence[str], length: int = CONTEXT_LENGTH) -> Int64[Tensor, "M L"]:
    """Turn texts into the ids CLIP's text tower reads.

    Args:
        texts: M texts of any length and any characters; none at all gives a tensor of zero rows.
        length: L, 77 for CLIP; fewer for a text tower that has fewer positions, at least 3.

    Returns:
        ids (M, L) int64: start of text, at most L - 2 ids of the lower-cased text, end of text, then zeros. A longer
        text is cut, with end of text in the last place.

    Raises:
        ValueError: one string was given in place of a sequence of them, or a length below 3.
    """
    if isinstance(texts, str):
        raise ValueError("texts is one string; give a list of strings.")
    if length < 3:
        raise ValueError(f"length must be at least 3 (got {length}): start and end of text, and a word.")
    ids = torch.zeros(len(texts), length, dtype=torch.int64)
    for row, text in zip(ids, texts, strict=True):
        words = _encoder().encode(_clean(text).lower()).ids[: length - 2]
        row[: len(words) + 2] = torch.tensor([START_OF_TEXT, *words, END_OF_TEXT])
    return ids


@lru_cache(maxsize=1)
def _encoder() -> Any:
    """CLIP's byte-pair encoding, built on first use.

    Ids are, in this order: 256 bytes, as GPT-2 writes them; the same at the end of a word; what each line of
    ``merges.txt`` makes; start and end of text. Text that looks like those two is text.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    lines = _MERGES.read_text(encoding="utf-8").splitlines()
    merges = [(left, right) for left, right in map(str.split, lines)]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())  # those that print have their own place and come first
    units = [*letters, *(letter + _WORD_END for letter in letters), *map("".join, merges)]
    encoder = Tokenizer(
        models.BPE({unit: place for place, unit in enumerate(units)}, merges, end_of_word_suffix=_WORD_END)
    )
    words = pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True)
    encoder.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(False, use_regex=False)])
    return encoder
