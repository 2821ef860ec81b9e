"""The tokenizer files beside a weight file: are its ids those of CLIP's own tokenizer?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bike.errors import WeightsError
from bike.files import read_json
from bike.text.tokenizer import END_OF_TEXT, START_OF_TEXT, tokenize

OTHER_KINDS = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "vocab.txt")  # SentencePiece, WordPiece
_WORD = re.compile(r"[a-z]+</w>")
_ALL_WORDS_AT_ONCE = 4096


def check_vocabulary(folder: Path) -> None:
    """Compare ``tokenizer.json`` or ``vocab.json`` in a model's folder with CLIP's tokenizer, word by word.

    Raises:
        WeightsError: the file has other ids, or the only files are those of another kind of tokenizer. The first word
            that differs is named, such as ``archery</w>``.
    """
    for name in ("tokenizer.json", "vocab.json"):
        path = folder / name
        if path.is_file():
            content = read_json(path)
            if name == "tokenizer.json":
                model = content.get("model") if isinstance(content, dict) else None
                content = model.get("vocab") if isinstance(model, dict) else None
            problem = _find_problem(content)
            if problem:
                raise WeightsError(f"{path}: {problem}. Only weights for CLIP's own tokenizer are supported.")
            return
    for name in OTHER_KINDS:
        if (folder / name).is_file():
            raise WeightsError(
                f"{folder / name}: a tokenizer of another kind. Only weights for CLIP's own tokenizer are supported."
            )


def _find_problem(vocabulary: Any) -> str:
    if not isinstance(vocabulary, dict) or not all(type(number) is int for number in vocabulary.values()):
        return "not a vocabulary of byte pairs"
    for word, wanted in {"<|startoftext|>": START_OF_TEXT, "<|endoftext|>": END_OF_TEXT}.items():
        if vocabulary.get(word) != wanted:
            return f"{word} has the id {vocabulary.get(word)}, in CLIP's tokenizer {wanted}"
    if len(vocabulary) != END_OF_TEXT + 1:
        return f"{len(vocabulary)} words, CLIP's tokenizer has {END_OF_TEXT + 1}"
    words = [word for word in vocabulary if _WORD.fullmatch(word)]
    for start in range(0, len(words), _ALL_WORDS_AT_ONCE):
        part = words[start : start + _ALL_WORDS_AT_ONCE]
        ids = tokenize([word.removesuffix("</w>") for word in part])[:, 1:3].tolist()
        for word, (number, after) in zip(part, ids, strict=True):
            if (number, after) != (vocabulary[word], END_OF_TEXT):
                return f"{word} has the id {vocabulary[word]}, in CLIP's tokenizer {number}"
    return ""
