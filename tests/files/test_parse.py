"""JSON that would be a traceback is one line; YAML is tested with params.yaml."""

from __future__ import annotations

import pytest

from bike.errors import BikeError
from bike.files.parse import parse_json


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{\n]", "line 2: Expecting"),
        ("[" * 1_000_000, "nested too deeply"),
        ("9" * 5000, "Exceeds the limit"),
        ("[1, NaN]", "NaN is no JSON number"),
        ("-Infinity", "-Infinity is no JSON number"),
        ('[{"b": {"a": 1, "a": 2}}]', "a is there twice, with different values"),
    ],
    ids=lambda text: text[:10],
)
def test_json_that_is_refused(text: str, said: str) -> None:
    with pytest.raises(BikeError, match=rf"a\.json: not valid JSON \(.*{said}.*\)\. Write it again\.$") as caught:
        parse_json(text, "a.json", "Write it again.")
    assert len(str(caught.value)) < 200
    assert parse_json('{"a": [1, 2.5, "ü", null], "b": 1, "b": 1}', "a.json") == {"a": [1, 2.5, "ü", None], "b": 1}
