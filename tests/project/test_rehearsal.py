"""Rehearsals: each kind of row on tiny videos under official names, in one `dvc repro` and a no-op after it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.annotations import (
    activitynet_replica,
    charades_replica,
    hmdb_replica,
    ucf_replica,
    write_rows,
)
from helpers.places import ROOT
from helpers.projects import SMALL, make_videos, make_weights, run_in

from bike.files import read_json, sha256
from bike.provenance import provenance_path


def ucf101(folder: Path, videos: Path) -> None:
    names = ucf_replica(folder)
    make_videos(videos, [*names["split1/train"], *names["split1/test"]])


def hmdb51(folder: Path, videos: Path) -> None:
    hmdb_replica(folder)
    lines = [
        f"{path.name.removesuffix('_test_split1.txt')}/{line.rsplit(' ', 1)[0]}"
        for path in sorted(folder.glob("*_test_split1.txt"))
        for line in path.read_text(encoding="utf-8").replace(" \n", "\n").splitlines()
    ]
    make_videos(videos, lines)


def kinetics(folder: Path, videos: Path, number: int, classes: list[str], splits: tuple[str, ...]) -> None:
    rows: list[list[object]] = [["label", "youtube_id", "time_start", "time_end", "split"]]
    names = []
    for split in splits:
        for index, name in enumerate(classes):
            for clip in (0, 1):
                identifier = f"-{split[:2]}{index:03d}_{clip:05d}"
                rows.append([name, identifier, 3, 13, split])
                names.append(f"{split}/{identifier}_000003_000013.mp4")
    write_rows(folder / f"kinetics-{number}.csv", rows)
    make_videos(videos, names)


def kinetics400(folder: Path, videos: Path) -> None:
    kinetics(folder, videos, 400, ["abseiling", "yoga", "zumba"], ("train", "val"))


SPLITS = [(ROOT / f"lists/kinetics600/split{n}.txt").read_text(encoding="utf-8").splitlines() for n in (1, 2, 3)]
K600_CLASSES = list(dict.fromkeys([SPLITS[0][0], SPLITS[1][5], SPLITS[2][9], "abseiling"]))  # the last is of no split
K600_SCORED = sum(2 for split in SPLITS for name in K600_CLASSES if name in split)  # two test videos of each class


def kinetics600(folder: Path, videos: Path) -> None:
    kinetics(folder, videos, 600, K600_CLASSES, ("test", "validate"))


def activitynet(folder: Path, videos: Path) -> None:
    activitynet_replica(folder / "activity_net.v1-3.json")
    make_videos(videos, ["v_-aB3_x.mp4", "v_--xx.mp4", "v_val1.mp4", "v_tst1.mp4"], seconds=6)


def charades(folder: Path, videos: Path) -> None:
    charades_replica(folder)
    make_videos(videos, ["46GP8.mp4", "EMPTY.mp4", "YSKX3.mp4", "NOACT.mp4"], seconds=6)


ROWS = {
    "ucf101-vitl14-16f": (ucf101, 6),
    "few-shot-ucf101-2": (ucf101, 6),
    "zeroshot-ucf101": (ucf101, 18),  # all videos, also those to train on
    "hmdb51-vitl14-16f": (hmdb51, 6),
    "zeroshot-hmdb51": (hmdb51, 18),  # those that no split uses too
    "anet-vitl14-16f": (activitynet, 1),
    "zeroshot-anet": (activitynet, 3),  # videos to train on count whole
    "charades-vitl14-336-16f": (charades, 2),
    "zeroshot-k600": (kinetics600, K600_SCORED),
    "ucf101-vitl14-16f-splits": (ucf101, 18),
    "hmdb51-vitl14-16f-splits": (hmdb51, 18),
    "base-to-novel-ucf101": (ucf101, 6),
    "k400-vitb32-8f": (kinetics400, 6),
    "k400-vitl14-8f": (kinetics400, 6),
}
ONE_EPOCH = ("epochs=1", "warmup_epochs=0", "batch_size=2")
QUICK = {"zeroshot-ucf101"}  # in every run of the tests; `make rehearsal` runs them all
CASES = [pytest.param(name, marks=[] if name in QUICK else pytest.mark.rehearsal) for name in ROWS]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("row", CASES)
def test_a_row_runs_from_videos_to_its_summary(row: str, tmp_path: Path) -> None:
    make: Callable[[Path, Path], None]
    make, scored = ROWS[row]
    make(tmp_path / "annotation", tmp_path / "videos")
    clip, model = make_weights(tmp_path)
    settings = [*SMALL, f"model.weights={clip}", "annotate.min_frames=1"]
    settings += [f"model.start_from={model}"] if not row.startswith(("k400", "few-shot", "base")) else []
    settings += ["annotate.shots=2"] if row.startswith("base") else []
    settings += [f"attributes.weights={clip}", *(f"train_attributes.{value}" for value in ONE_EPOCH)]
    settings = [word for setting in settings for word in ("--set", setting)]
    source = ["--videos", str(tmp_path / "videos"), "--annotation", str(tmp_path / "annotation")]
    run_in(tmp_path, "bike.cli", "init", row, "p", *source, *settings)
    project = tmp_path / "p"
    assert len((project / "dvc.yaml").read_text(encoding="utf-8").splitlines()) <= 120
    assert "bad " not in run_in(project, "bike.cli", "check")
    run_in(project, "dvc", "repro")
    metrics = read_json(project / "metrics.json")
    assert 5 <= len(metrics) <= 8, metrics
    assert metrics["measured"] == 0
    assert metrics["expected"] > metrics["videos"]
    assert metrics["videos"] == scored
    assert metrics.get("map_published") == (
        metrics["map"] if row.startswith(("anet", "charades")) else None
    )  # one batch
    summary = (project / "summary.md").read_text(encoding="utf-8")
    assert "A rehearsal, not the published measurement" in summary
    assert "model.frames is 2, the row has" in summary
    assert "videos were scored, the published number scores" in summary
    results = [place.parent for place in (project / "results").rglob("metrics.json")]
    told = [read_json(provenance_path(place)) for place in results]
    assert told
    assert [facts["metrics.json"] for facts in told] == [sha256(place / "metrics.json") for place in results]
    assert all(facts["data"] and facts["params"] and facts["commit"] for facts in told)
    status = subprocess.run(
        ["git", "status", "--short", "--untracked-files=all", "results"], cwd=project, capture_output=True, text=True
    )
    assert status.stdout.count(".provenance.json\n") == len(status.stdout.splitlines()) == len(results)
    again = run_in(project, "dvc", "repro")
    assert "Running stage" not in again
    assert "up to date" in again


def test_every_kind_of_row_is_rehearsed() -> None:
    from bike.zoo import load_zoo

    zoo = load_zoo()
    assert {(zoo[name].dataset, zoo[name].task == "zeroshot") for name in ROWS} >= {
        (row.dataset, row.task == "zeroshot") for row in zoo.values()
    }
    assert {zoo[name].task for name in ROWS} == {row.task for row in zoo.values()}
