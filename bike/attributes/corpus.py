"""The attribute corpus: for every video the phrases of a lexicon that describe it best, best first.

File format, as published: JSON ``{video: {"classname_topk": [phrase, …]}}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from bike.errors import BikeError, DataError, first_few, one_line
from bike.files import read_json, read_text, write_json
from bike.progress import log
from bike.records import Sample, read_labels
from bike.text.prompts import attribute_sentence

Corpus = Mapping[str, Sequence[str]]

PHRASES = "classname_topk"


def read_lexicon(path: Path | str) -> list[str]:
    """Phrases of a lexicon: a text file with one on each line, or a CSV ``id,name`` of class names.

    White space is folded; empty lines, lines that begin with ``#`` and duplicate phrases are left out.

    Raises:
        DataError: no phrases.
        BikeError: the file is missing or not text.
    """
    text = read_text(path)
    if re.match(r"id\s*,\s*name\s*$", text.split("\n", 1)[0].strip()):  # on a later line it is a phrase
        phrases = read_labels(path)
    else:
        phrases = [line for line in text.splitlines() if not line.startswith("#")]
    distinct = [phrase for phrase in dict.fromkeys(" ".join(phrase.split()) for phrase in phrases) if phrase]
    if not distinct:
        raise DataError(f"{path}: no phrases. Write one on each line.")
    return distinct


def write_corpus(path: Path | str, corpus: Corpus) -> None:
    """Write a corpus, videos sorted, atomically."""
    write_json(path, {key: {PHRASES: list(corpus[key])} for key in sorted(corpus)})


def read_corpus(path: Path | str) -> dict[str, list[str]]:
    """Read a corpus in the published format, ours or another.

    Raises:
        DataError: another shape (the first ten bad entries are named), or no videos.
        BikeError: the file is missing or not JSON.
    """
    tree = read_json(path)
    if not isinstance(tree, dict) or not tree:
        raise DataError(f'{path}: not an attribute corpus; {{video: {{"{PHRASES}": [phrase, …]}}}} is needed.')
    bad = [one_line(key)[:80] for key, entry in tree.items() if not _is_entry(entry)]
    if bad:
        raise DataError(f'{path}: entries without a list of texts under "{PHRASES}": {first_few(bad)}.')
    return {key: entry[PHRASES] for key, entry in tree.items()}


def _is_entry(entry: object) -> bool:
    phrases = entry.get(PHRASES) if isinstance(entry, dict) else None
    return isinstance(phrases, list) and all(isinstance(phrase, str) for phrase in phrases)


def sentences_of(
    samples: Sequence[Sample], corpus: Corpus, *, top_k: int, prompt: str, source: Path | str
) -> list[str]:
    """The sentence of attributes of every sample, in order.

    A sample is looked up by its key, its video's key, its path, and its file's name without extension (as published
    corpora name videos).

    Args:
        samples: rows of a list.
        corpus: phrases by video.
        top_k: phrases in a sentence; a video with fewer gives those it has.
        prompt: sentence with ``{}`` where the phrases go.
        source: names the corpus in errors.

    Raises:
        DataError: samples that are not in the corpus, or videos of which several have the file name by which they are
            found; the first ten are named.
    """
    sentences, missing, blank = [], [], attribute_sentence([], prompt)
    used: dict[str, set[str]] = {}  # file name in the corpus -> videos that it stood for
    for sample in samples:
        own, file = (sample.key, sample.video, sample.path), PurePosixPath(sample.path)
        name = next((name for name in (*own, file.name, file.stem) if name in corpus), None)
        if name is None:
            missing.append(sample.key)
            continue
        if name not in own:
            used.setdefault(name, set()).add(sample.video)
        sentences.append(attribute_sentence(corpus[name][:top_k], prompt))
    shared = [f"{one_line(name)} ({', '.join(sorted(videos)[:3])})" for name, videos in used.items() if len(videos) > 1]
    if shared:
        raise DataError(
            f"{source}: {len(shared)} of its entries are file names that several videos of the list have: "
            f"{first_few(shared)}. Name the videos by key or path, or run `bike attributes` with this list."
        )
    if missing:
        raise DataError(
            f"{source}: {len(missing)} of {len(samples)} videos of the list are not in it: {first_few(missing)}. "
            "Run `bike attributes` with this list."
        )
    if empty := [sample.key for sample, sentence in zip(samples, sentences, strict=True) if sentence == blank]:
        log.warning("%s: %d of %d videos have no phrase: %s", source, len(empty), len(samples), first_few(empty))
    return sentences


def merge_corpora(parts: Sequence[Corpus]) -> dict[str, list[str]]:
    """One corpus of several.

    Raises:
        BikeError: two of them describe a video differently.
    """
    merged: dict[str, list[str]] = {}
    for part in parts:
        clash = next((key for key, phrases in part.items() if merged.get(key, list(phrases)) != list(phrases)), None)
        if clash is not None:
            raise BikeError(f"{one_line(clash)}: two lists give it different attributes. Make keys unique.")
        merged.update({key: list(phrases) for key, phrases in part.items()})
    return merged
