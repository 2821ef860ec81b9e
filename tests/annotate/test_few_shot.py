"""Few-shot lists: K videos of each class, the same for everyone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bike.annotate.few_shot import choose_shots, write_few_shot
from bike.annotate.writing import write_published
from bike.errors import BikeError, DataError
from bike.records import Sample, read_list, write_labels, write_list


def full_list(per_class: int = 10, classes: int = 4) -> list[Sample]:
    return [
        Sample(f"c{label}v{number}", f"c{label}v{number}", f"c{label}/v{number}.mp4", (label,), 30)
        for number in range(per_class)
        for label in range(classes)
    ]


def test_every_class_gets_its_shots_and_fewer_are_among_more() -> None:
    smaller: set[str] = set()
    for shots in range(1, 11):
        chosen = choose_shots(full_list(), shots, seed=5)
        assert Counter(s.labels[0] for s in chosen) == dict.fromkeys(range(4), shots)
        assert [s for s in full_list() if s in chosen] == chosen  # the list's order
        assert smaller < {s.key for s in chosen}
        smaller = {s.key for s in chosen}
        repeated = choose_shots(full_list(), shots, seed=5, repeat=True)  # to the length of the full list
        assert len({s.key for s in repeated}) == len(repeated) == 40
        assert [s.video for s in repeated] == [chosen[n % len(chosen)].video for n in range(40)]
        assert repeated[: len(chosen)] == chosen
    with pytest.raises(ValueError, match="at least 1"):
        choose_shots(full_list(), 0)


def test_the_choice_depends_on_the_seed_alone() -> None:
    first = choose_shots(full_list(), 3, seed=0)
    assert choose_shots(full_list(), 3, seed=0) == first
    assert {s.key for s in choose_shots(full_list()[::-1], 3, seed=0)} == {s.key for s in first}
    assert choose_shots(full_list(), 3, seed=1) != first
    assert {s.key for s in choose_shots(full_list(classes=2), 3)} == {s.key for s in first if s.labels[0] < 2}


def test_one_part_of_each_of_k_videos() -> None:
    samples = [
        Sample(f"v{video}-{part}", f"v{video}", f"v{video}.mp4", (0,), 30, float(part), part + 1.0)
        for video in range(3)
        for part in range(5)
    ]
    chosen = choose_shots(samples, 3)
    assert sorted(s.video for s in chosen) == ["v0", "v1", "v2"]
    with pytest.raises(DataError, match="0 has 3"):
        choose_shots(samples, 4)


def test_a_class_with_too_few_is_named() -> None:
    samples = [*full_list(per_class=2, classes=2), Sample("x", "x", "x.mp4", (2,), 30)]
    with pytest.raises(DataError, match=r"2 videos of each class are needed: 2 \(swim\) has 1; 3 \(walk\) has 0\. Ask"):
        choose_shots(samples, 2, names=["run", "jump", "swim", "walk"], every=True)
    with pytest.raises(DataError, match=r"needed: 2 has 1\."):
        choose_shots(samples, 2)


@pytest.mark.parametrize("labels", [(), (0, 1)])
def test_samples_need_one_label(labels: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="one label each, these have not: x"):
        choose_shots([Sample("x", "x", "x.mp4", labels, 30)], 1)


def test_files(tmp_path: Path) -> None:
    write_list(tmp_path / "train.csv", full_list())
    write_labels(tmp_path / "labels.csv", ["run", "jump", "swim", "walk"])
    out = tmp_path / "few" / "train-2.csv"
    written = write_few_shot(tmp_path / "train.csv", out, shots=2, seed=3, repeat=True)
    assert read_list(out) == written
    assert not (tmp_path / "few" / "train-2.txt").exists()
    for videos, line in ((False, "{} 30 {}"), (True, "{}.mp4 {}")):
        write_published(tmp_path / "train.txt", full_list(), videos=videos)
        write_few_shot(tmp_path / "train.csv", out, shots=2, seed=3, repeat=True, replace=True)
        lines = (tmp_path / "few" / "train-2.txt").read_text().splitlines()
        assert lines == [line.format(s.path.removesuffix(".mp4"), s.labels[0]) for s in written]
    write_published(tmp_path / "train.txt", full_list()[1:])  # another list's: no lines of it are written
    write_few_shot(tmp_path / "train.csv", out, shots=2, seed=3, replace=True)
    assert not (tmp_path / "few" / "train-2.txt").exists()
    with pytest.raises(DataError, match=r"0 \(run\) has 10"):
        write_few_shot(tmp_path / "train.csv", tmp_path / "few.csv", shots=11)
    for name in ("train.csv", "few.txt", "labels.csv", "audit.csv"):
        with pytest.raises(BikeError):
            write_few_shot(tmp_path / "train.csv", tmp_path / name, shots=2, replace=True)
    assert len(read_list(tmp_path / "train.csv")) == 40


def test_a_list_of_the_first_half_has_shots_of_its_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As ``annotate.train_classes: first_half`` leaves it beside all class names; who expected more is told."""
    write_list(tmp_path / "train.csv", full_list(classes=2))
    write_labels(tmp_path / "labels.csv", ["run", "jump", "swim", "walk"])
    chosen = write_few_shot(tmp_path / "train.csv", tmp_path / "few.csv", shots=3)
    assert Counter(sample.labels[0] for sample in chosen) == {0: 3, 1: 3}
    assert f"2 of the 4 classes of {tmp_path / 'labels.csv'} are not in it and get no shots: swim; walk" in caplog.text


def test_an_empty_list_has_no_shots(tmp_path: Path) -> None:
    write_list(tmp_path / "none.csv", [])
    with pytest.raises(DataError, match=r"none\.csv: no rows"):
        write_few_shot(tmp_path / "none.csv", tmp_path / "out.csv", shots=1)
