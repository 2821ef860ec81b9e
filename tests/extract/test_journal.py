"""The notes of an extraction: what they settle, and what a kill or a stranger leaves of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from bike.extract.journal import JOURNAL_NAME, is_current, open_journal, read_journal, rewrite_journal
from bike.extract.task import Recipe, Result, Task, recipe_text, rejected
from bike.records import VideoRecord
from bike.video.file import VideoFile


def task(tmp_path: Path, recipe: Recipe) -> Task:
    return Task("k", "k.mp4", VideoFile("k.mp4"), str(tmp_path), recipe)


def note(result: Result, recipe: Recipe) -> Result:
    """The result as a run with this recipe notes it, of a file with the stamp (1, 2)."""
    return replace(result, stamp=(1, 2), recipe=recipe_text(recipe), keep_partial=recipe.keep_partial)


def test_what_an_earlier_run_did_is_current_until_something_changes(tmp_path: Path) -> None:
    recipe, stamp = Recipe(), (1, 2)
    (tmp_path / "k.mjpg").write_bytes(b"12345")
    good = note(Result(VideoRecord("k", "k.mp4", "ok", 2, 10.0, 16, 16, 0.2, 5)), recipe)
    assert is_current(good, task(tmp_path, recipe), stamp, 60)
    assert is_current(good, task(tmp_path, Recipe(keep_partial=True)), stamp, 60)
    assert not is_current(good, task(tmp_path, recipe), (1, 3), 60)
    for other in (Recipe(quality=3), Recipe(short_side_px=128), Recipe(fps=5.0), Recipe(backend="ffmpeg")):
        assert not is_current(good, task(tmp_path, other), stamp, 60)
    (tmp_path / "k.mjpg").write_bytes(b"1234")
    assert not is_current(good, task(tmp_path, recipe), stamp, 60)
    part = note(rejected("k", "k.mp4", "truncated", partial=True), recipe)
    assert is_current(part, task(tmp_path, Recipe(quality=9)), stamp, 60)
    assert not is_current(part, task(tmp_path, Recipe(keep_partial=True)), stamp, 60)
    assert not is_current(part, task(tmp_path, Recipe(backend="ffmpeg")), stamp, 60)
    slow = note(rejected("k", "k.mp4", "timed out", limit_seconds=60), recipe)
    assert is_current(slow, task(tmp_path, recipe), stamp, 60)
    assert is_current(slow, task(tmp_path, recipe), stamp, 30)
    assert not is_current(slow, task(tmp_path, recipe), stamp, 61)


NAMES = ["a.mp4", "caf\udce9 \n\x1b.mp4", "日本.mp4"]
RESULTS = [note(rejected("k", name, f"reason {name}"), Recipe()) for name in NAMES]


def test_notes_survive_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    assert read_journal(tmp_path) == {}
    with open_journal(tmp_path) as journal:
        for result in RESULTS:
            journal.add(result)
    path = tmp_path / JOURNAL_NAME
    whole = path.read_bytes()
    assert read_journal(tmp_path) == dict(zip(NAMES, RESULTS, strict=True))
    for end in range(0, len(whole), 61):
        path.write_bytes(whole[:end])
        assert list(read_journal(tmp_path)) == NAMES[: whole[:end].count(b"\n")] or whole[end : end + 1] == b"\n"
    path.write_bytes(whole[:-5])
    with open_journal(tmp_path) as journal:
        journal.add(RESULTS[2])
    assert list(read_journal(tmp_path)) == NAMES


def test_rubbish_among_the_notes_is_passed_over(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        journal.add(RESULTS[0])
    lines = (tmp_path / JOURNAL_NAME).read_text()
    rubbish = ["{}", "[]", "null", '"x"', '{"record": {"key": 1}}', "\x00\xff", json.dumps({"record": "x"})]
    row = json.loads(lines)
    rubbish += [json.dumps({**row, **change}) for change in ({"limit_seconds": "x"}, {"recipe": "x"}, {"recipe": "[]"})]
    rubbish += [json.dumps({**row, "record": {**row["record"], "path": "b", "frames": None}})]
    (tmp_path / JOURNAL_NAME).write_text("\n".join([lines.strip(), *rubbish]) + "\n")
    assert read_journal(tmp_path) == {NAMES[0]: RESULTS[0]}
    rewrite_journal(tmp_path, RESULTS[:1])
    assert (tmp_path / JOURNAL_NAME).read_text().count("\n") == 1


def test_the_notes_of_earlier_versions_are_read(tmp_path: Path) -> None:
    """A long extraction goes on after an update of bike."""
    line = (
        '{"record": {"key": "a", "path": "a.mp4", "status": "ok", "frames": 3, "fps": 10.0, "width": 8, "height": 8, '
        '"seconds": 0.3, "bytes": 5, "error": ""}, "partial": false, "stamp": [1, 2], "recipe": '
        + json.dumps(recipe_text(Recipe()))
        + ', "keep_partial": false, "limit_seconds": 0.0}\n'
    )
    (tmp_path / JOURNAL_NAME).write_text(line)
    record = VideoRecord("a", "a.mp4", "ok", 3, 10.0, 8, 8, 0.3, 5)
    assert read_journal(tmp_path) == {"a.mp4": note(Result(record), Recipe())}
    rewrite_journal(tmp_path, read_journal(tmp_path).values())
    rewritten = json.loads((tmp_path / JOURNAL_NAME).read_text())
    for name in ("source_sha256", "frames_sha256", "picture_hash", "kept"):
        assert rewritten["record"].pop(name) == ""
    assert rewritten == json.loads(line)
