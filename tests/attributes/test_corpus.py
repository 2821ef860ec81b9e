"""The attribute corpus: read, merged, and looked up for a list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bike.attributes.corpus import merge_corpora, read_corpus, read_lexicon, sentences_of
from bike.errors import BikeError, DataError
from bike.records import Sample, write_labels


def test_a_lexicon_is_text_or_class_names(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a dog\n\n# not this\n a   cat \na dog\nid,name\n", encoding="utf-8")
    assert read_lexicon(tmp_path / "text.txt") == ["a dog", "a cat", "id,name"]
    write_labels(tmp_path / "labels.csv", ["walk, run", "b"])
    assert read_lexicon(tmp_path / "labels.csv") == ["walk, run", "b"]
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(DataError, match=r"empty\.txt: no phrases"):
        read_lexicon(tmp_path / "empty.txt")


def test_a_published_corpus_is_read_by_the_videos_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "corpus.json"
    path.write_text('{"-0x_12": {"classname_topk": ["a", "b", "c"]}, "v.mp4": {"classname_topk": ["d"]}}')
    corpus = read_corpus(path)
    samples = [
        Sample("x", "x", "val/-0x_12.mp4", (0,), 8),
        Sample("-0x_12", "y", "y", (0,), 8),
        Sample("z", "z", "d/v.mp4", (0,), 8),
    ]
    found = sentences_of(samples, corpus, top_k=2, prompt="It shows {}", source=path)
    assert found == ["It shows a,b", "It shows a,b", "It shows d"]
    with pytest.raises(DataError, match=r"corpus\.json: 1 of 2 videos .* w\. Run `bike attributes`"):
        sentences_of([samples[0], Sample("w", "w", "w.mp4", (0,), 8)], corpus, top_k=2, prompt="{}", source=path)


def short(*counts: int) -> list[str]:
    """The sentences of videos with so many phrases, where three are wanted."""
    samples = [Sample(f"v{number}", f"v{number}", "", (0,), 8) for number in range(len(counts))]
    corpus = {sample.key: ["x"] * count for sample, count in zip(samples, counts, strict=True)}
    return sentences_of(samples, corpus, top_k=3, prompt="{}", source="c.json")


def test_fewer_phrases_than_asked_for_are_told(caplog: pytest.LogCaptureFixture) -> None:
    assert short(3, 4) == ["x,x,x"] * 2
    assert caplog.text == ""
    assert short(2, 3) == ["x,x", "x,x,x"]
    assert "c.json: 1 of 2 videos have fewer phrases than attributes.top_k (3): v0 (2)" in caplog.text
    with pytest.raises(DataError, match=r"all 2 videos have fewer .*top_k \(3\): v0 \(2\); v1 \(1\)\. Lower"):
        short(2, 1)
    with pytest.raises(DataError, match=r"c\.json: 1 of 2 videos have no phrases: v0\. Run"):
        short(0, 3)


def test_a_file_name_that_several_videos_have_names_none_of_them(tmp_path: Path) -> None:
    samples = [Sample(f"{c}__v", f"{c}__v", f"{c}/v.mp4", (0,), 8) for c in "ab"]
    corpus = {"v": ["x"], "a__v": ["y"]}
    one = sentences_of(samples, corpus, top_k=1, prompt="{}", source="c.json")
    assert one == ["y", "x"]  # each its own entry
    with pytest.raises(DataError, match=r"c\.json: 1 of its entries are file names.*: v \(a__v, b__v\)\. Name"):
        sentences_of(samples, {"v": ["x"]}, top_k=1, prompt="{}", source="c.json")
    trimmed = [replace(samples[0], key=f"a__v-{number}") for number in range(2)]  # of one video
    assert sentences_of(trimmed, {"v": ["x"]}, top_k=1, prompt="{}", source="c.json") == ["x", "x"]


@pytest.mark.parametrize(
    "text", ["[]", "{}", "3", '{"a": []}', '{"a": {"classname_topk": "b"}}', '{"a": {"classname_topk": [1]}}', "{"]
)
def test_what_is_no_corpus_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "corpus.json").write_text(text)
    with pytest.raises(BikeError, match=r"corpus\.json: "):
        read_corpus(tmp_path / "corpus.json")


def test_corpora_are_merged_unless_they_contradict() -> None:
    assert merge_corpora([{"a": ["x"]}, {"b": ["y"], "a": ["x"]}]) == {"a": ["x"], "b": ["y"]}
    with pytest.raises(BikeError, match="a: two lists"):
        merge_corpora([{"a": ["x"]}, {"a": ["y"]}])
