"""Parts of a stage: which one does what, how launchers name them, and into how many a result is split."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bike.errors import BikeError, BusyError, DataError, ParamsError
from bike.files.parts import MERGE, PARTS, Part, Parts, discard_parts, held_place, parse_part


def array(task: int, first: int, last: int, count: int) -> dict[str, str]:
    names = [f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "MIN", "MAX", "COUNT")]
    return dict(zip(names, map(str, (task, first, last, count)), strict=True))


def test_each_key_has_one_part_for_good() -> None:
    keys = [f"class__video{number}" for number in range(3000)]
    owners = {key: [n for n in range(1, 8) if Part(n, 7).has(key)] for key in keys}
    assert {len(numbers) for numbers in owners.values()} == {1}
    sizes = Counter(numbers[0] for numbers in owners.values())
    assert set(sizes) == set(range(1, 8))
    assert max(sizes.values()) < 1.2 * min(sizes.values())
    # The same on every machine and in every version: parts of one result may be made by several.
    assert [owners[key][0] for key in keys[:6]] == [2, 7, 6, 1, 6, 4]


def test_parts_have_names() -> None:
    assert parse_part("3/64", {}) == Part(3, 64)
    assert parse_part("slurm", array(0, 0, 63, 64)) == Part(1, 64)
    assert parse_part("slurm", array(12, 10, 12, 3)) == Part(3, 3)
    for text in ("0/4", "5/4", "4", "1/0", "-1/4", "1/4/2", "٣/4", "", "1.0/4", "a/b"):
        with pytest.raises(ParamsError, match="1/n to n/n"):
            parse_part(text, {})
    for variables in ({}, {"SLURM_ARRAY_TASK_ID": "3"}, array(1, 1, 4, 4) | {"SLURM_ARRAY_TASK_ID": "x"}):
        with pytest.raises(ParamsError, match="sbatch --array"):
            parse_part("slurm", variables)
    for gaps in (array(3, 1, 9, 4), array(20, 1, 4, 4)):  # after a retry of some tasks the numbers say no part
        with pytest.raises(ParamsError, match="without gaps"):
            parse_part("slurm", gaps)


def test_the_first_part_decides_how_many_there_are(tmp_path: Path) -> None:
    with held_place(tmp_path, Part(2, 3), "working") as folder, held_place(tmp_path, Part(1, 3), "working") as other:
        assert folder != other
        with pytest.raises(BusyError), held_place(tmp_path, Part(2, 3), "working"):
            pass
    with pytest.raises(BikeError, match=r"begun in 3 parts \(got --part 2/4\). Give --part i/3"):
        held_place(tmp_path, Part(2, 4), "working").__enter__()
    assert len(Parts(tmp_path).folders()) == 3
    assert folder in Parts(tmp_path).folders()
    discard_parts(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with held_place(tmp_path, Part(2, 4), "working"):
        pass
    (tmp_path / ".bike-parts/parts.json").write_text('{"count": true}')
    with pytest.raises(DataError, match="does not say how many parts there are"):
        Parts(tmp_path)


def test_a_merge_names_the_parts_that_are_missing(tmp_path: Path) -> None:
    Parts(tmp_path).check([])
    with pytest.raises(BikeError, match="no part was begun here"):
        Parts(tmp_path).check(["a"])
    with held_place(tmp_path, Part(1, 3), "working"):
        pass
    parts = Parts(tmp_path)
    keys = {number: next(key for key in map(str, range(99)) if Part(number, 3).has(key)) for number in (1, 2, 3)}
    assert parts.folder_of(keys[2]) == Part(2, 3).folder(tmp_path)
    with pytest.raises(BikeError, match="2 of 3 parts are missing.*: 1; 3. Run them"):
        parts.check([keys[3], keys[1], keys[3]])
    parts.check([])


def test_in_a_folder_that_people_choose_only_what_parts_wrote_is_removed(tmp_path: Path) -> None:
    ours, theirs = tmp_path / PARTS / "1-of-2", tmp_path / PARTS / "2-of-2"
    for folder, name in ((ours, "rows-0-000000.pt"), (theirs, "a.mjpg")):
        folder.mkdir(parents=True)
        (folder / name).write_bytes(b"x")
    (tmp_path / PARTS / "parts.json").write_text('{"count": 2}')
    discard_parts(tmp_path, lambda path: path.suffix == ".pt")
    assert not ours.exists()
    assert (theirs / "a.mjpg").exists()
    assert (tmp_path / PARTS / "parts.json").exists()
    discard_parts(tmp_path)
    assert not (tmp_path / PARTS).exists()


def test_a_merge_takes_nothing_from_a_part_that_still_runs(tmp_path: Path) -> None:
    busy = pytest.raises(BusyError, match="1-of-2: another run is working here")
    with held_place(tmp_path, Part(1, 2), "working"), busy, held_place(tmp_path, MERGE, "working"):
        pass
    with held_place(tmp_path, MERGE, "working") as folder:
        assert folder == tmp_path


def test_parts_behind_a_link_are_refused(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / PARTS).symlink_to(tmp_path / "scratch")
    with pytest.raises(BikeError, match="is a link"), held_place(tmp_path / "out", Part(1, 2), "working"):
        pass
