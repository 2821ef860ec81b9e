"""Every command that reads tables: a column that is there twice is an error, since either could be meant."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from helpers.annotations import manifest, write_rows
from helpers.tiny_commands import COMMANDS

from bike.cli import build_app, guarded

LISTED = ["labels.csv", "val.csv", "frames/manifest.csv"]
TABLES = {  # what each reads; of shards the index has a checksum, and those not here read none
    "extract": ["list.csv"],
    "annotate": ["clips.csv", "names.csv", "seen.csv"],
    "few_shot": ["labels.csv", "train.csv"],
    "shard": ["labels.csv", "train.csv", "frames/manifest.csv"],
    "attributes": ["train.csv", "val.csv", "frames/manifest.csv"],
    "train": [*LISTED, "train.csv"],
    "train_attributes": ["labels.csv", "train.csv"],
    "evaluate": LISTED,
    "zeroshot": LISTED,
    "predict": ["names.csv"],
    "report": ["results/fuse/1x1/per_class.csv", "results/fuse/1x1/confusion.csv"],
}
MORE = {  # words that make a command read further tables
    "extract": ["--list", "list.csv"],
    "annotate": ["--labels", "names.csv", "--media", "seen.csv"],
    "predict": ["--labels", "names.csv"],
}


@pytest.mark.parametrize("name", TABLES)
def test_a_column_that_is_there_twice(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [*COMMANDS[name](tmp_path), *MORE.get(name, [])]
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "list.csv", [("path",), ("a.mp4",)])
    write_rows(tmp_path / "names.csv", [("id", "name"), (0, "jump"), (1, "run")])
    manifest(tmp_path / "seen.csv", ["a.mp4", "b.mp4"])
    for file in TABLES[name]:
        path = tmp_path / file
        before = path.read_bytes()
        rows = list(csv.reader(path.read_text().splitlines()))
        write_rows(path, [[*row, row[0]] for row in rows])
        assert guarded(lambda: build_app()(words, standalone_mode=False)) == 1, file
        assert f"{file}: 2 columns are named {rows[0][0]!r}. Keep one of them." in capfd.readouterr().err
        path.write_bytes(before)
    assert not guarded(lambda: build_app()(words, standalone_mode=False)), "as they were, the tables do"
