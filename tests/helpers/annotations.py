"""Small replicas of the official annotation layouts, and manifests to go with them."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bike.annotate.audit import Audit
from bike.annotate.entries import ReadOptions
from bike.annotate.run import annotate
from bike.files.names import video_keys
from bike.params import Annotate
from bike.records import Sample, VideoRecord, read_labels, read_list, write_manifest

UCF_CLASSES = ("ApplyEyeMakeup", "HandstandPushups", "YoYo")
HMDB_CLASSES = ("kick", "kick_ball", "brush_hair")


def write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
    return path


def write_rows(path: Path, rows: Iterable[Iterable[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return path


def manifest(path: Path, videos: Iterable[str], rejected: Iterable[str] = (), **values: Any) -> Path:
    """A manifest of accepted and rejected videos; 60 frames at 10 per second by default."""
    accepted, refused = list(videos), list(rejected)
    keys = video_keys([*accepted, *refused])
    frames, fps = values.get("frames", 60), values.get("fps", 10.0)
    records = [
        VideoRecord(key, name, "ok", frames, fps, 64, 48, frames / fps if fps else 0.0, 1000, picture_hash=look(key))
        for key, name in zip(keys, accepted, strict=False)
    ]
    for key, name in zip(keys[len(accepted) :], refused, strict=True):
        records.append(VideoRecord(key, name, "rejected", error="no video stream"))
    write_manifest(path, records)
    return path


def look(seed: str) -> str:
    """A picture hash that no other seed's is like."""
    return "".join("01245689a"[byte % 9] for byte in hashlib.shake_128(seed.encode()).digest(64))


class Desk:
    """A folder in which annotations become lists: those of the last call lie in ``out``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"

    def annotate(
        self,
        dataset: str,
        source: Path,
        media: Path | Iterable[str] | None = None,
        *,
        policies: Mapping[str, object] | None = None,
        **options: Any,
    ) -> Audit:
        """``media`` may be the names of the videos that are there; ``options`` say how to read."""
        if not isinstance(media, Path | None):
            media = manifest(self.folder / "manifest.csv", media)
        chosen = Annotate.model_validate(policies or {})
        return annotate(dataset, source, media, self.out, policies=chosen, options=ReadOptions(**options))

    def csv(self, rows: Iterable[Iterable[object]], media: Path | Iterable[str] | None = None, **given: Any) -> Audit:
        """Lists of a CSV with these rows, the header first."""
        return self.annotate("csv", write_rows(self.folder / "a.csv", rows), media, **given)

    def samples(self, name: str = "train") -> list[Sample]:
        return read_list(self.out / f"{name}.csv")

    def paths(self, name: str = "train") -> list[str]:
        return [sample.path for sample in self.samples(name)]

    def times(self) -> list[tuple[float | None, float | None]]:
        return [(sample.start_seconds, sample.end_seconds) for sample in self.samples()]

    def lists(self) -> dict[str, list[Sample]]:
        """``split1/train`` … or ``train`` … -> samples."""
        files = [path for path in sorted(self.out.rglob("*.csv")) if path.stem in ("train", "val", "test")]
        return {str(path.relative_to(self.out).with_suffix("")): read_list(path) for path in files}

    def labelled(self) -> dict[str, list[tuple[str, tuple[int, ...]]]]:
        """As :meth:`lists`, but path and labels of each sample."""
        return {name: [(s.path, s.labels) for s in samples] for name, samples in self.lists().items()}

    def labels(self) -> list[str]:
        return read_labels(self.out / "labels.csv")

    def text(self, name: str) -> str:
        return (self.out / name).read_text()


def found(audit: Audit) -> list[tuple[str, str, str]]:
    """The findings without list, label and detail."""
    return [(row.finding, row.action, row.path) for row in audit.findings]


def ucf_replica(folder: Path) -> dict[str, list[str]]:
    """UCF-101's layout with three classes; returns ``split1/train`` … -> paths in official order."""
    lines = "".join(f"{number} {name}\r\n" for number, name in enumerate(UCF_CLASSES, 1))
    write_text(folder / "classInd.txt", lines)
    lists: dict[str, list[str]] = {}
    for split in (1, 2, 3):
        for part, groups in (("train", [g for g in (1, 2, 3) if g != split]), ("test", [split])):
            paths = [
                f"{name}/v_{name.replace('Handstand', 'HandStand')}_g{group:02d}_c{clip:02d}.avi"
                for name in UCF_CLASSES
                for group in groups
                for clip in (1, 2)
            ]
            numbers = {name: number for number, name in enumerate(UCF_CLASSES, 1)}
            text = [f"{path} {numbers[path.split('/')[0]]}" if part == "train" else path for path in paths]
            write_text(folder / f"{part}list{split:02d}.txt", "\n".join(text) + "\n")
            lists[f"split{split}/{part}"] = paths
    return lists


def hmdb_replica(folder: Path) -> dict[str, list[str]]:
    """HMDB-51's layout with three classes; returns ``split1/train`` … -> paths in official order."""
    lists: dict[str, list[str]] = {f"split{split}/{part}": [] for split in (1, 2, 3) for part in ("train", "test")}
    for name in sorted(HMDB_CLASSES):
        for split in (1, 2, 3):
            lines = []
            for number in range(6):
                flag = (number + split) % 3
                video = f"#{number}_Ice!Age_({name})_x&y;[1]_{number}.avi"
                lines.append(f"{video} {flag} \n")
                if flag:
                    lists[f"split{split}/{'train' if flag == 1 else 'test'}"].append(f"{name}/{video}")
            write_text(folder / f"{name}_test_split{split}.txt", "".join(lines))
    return lists


def activitynet_replica(path: Path) -> Path:
    """ActivityNet's layout: two training videos, a validation video with two classes, a testing video."""

    def video(subset: str, seconds: float, *parts: tuple[float, float, str]) -> dict[str, Any]:
        notes = [{"segment": [start, end], "label": label} for start, end, label in parts]
        return {"duration": seconds, "subset": subset, "resolution": "320x240", "url": "", "annotations": notes}

    database = {
        "-aB3_x": video("training", 6.0, (0.5, 2.5, "Surfing"), (3, 9.0, "Surfing")),
        "--xx": video("training", 6.0, (0, 6.0, "BMX")),
        "val1": video("validation", 6.0, (3, 6, "Surfing"), (0, 3, "BMX"), (1, 2, "Surfing")),
        "tst1": video("testing", 6.0),
    }
    tree = {"version": "VERSION 1.3", "taxonomy": [], "database": database}
    return write_text(path, json.dumps(tree))


def charades_replica(folder: Path) -> None:
    """Charades' layout: a class list, two training videos (one without action), two test videos."""
    names = "".join(f"c{index:03d} Holding thing {index}/other\n" for index in range(5))
    write_text(folder / "Charades_v1_classes.txt", names)
    header = ["id", "subject", "scene", "quality", "relevance", "verified"]
    header += ["script", "objects", "descriptions", "actions", "length"]

    def row(name: str, actions: str, length: str) -> list[str]:
        return [name, "S", "Kitchen", "6", "7", "Yes", 'He says "hi", then;', "a;b", "Long\ntext", actions, length]

    train = [row("46GP8", "c002 1.00 4.50;c000 0.00 5.00", "6.0"), row("EMPTY", "", "6.0")]
    test = [row("YSKX3", "c004 0.50 2.00;c001 1.00 3.00;c004 3.00 4.00", "6.0"), row("NOACT", "", "6.0")]
    write_rows(folder / "Charades_v1_train.csv", [header, *train])
    write_rows(folder / "Charades_v1_test.csv", [header, *test])


def sthv2_replica(folder: Path) -> None:
    """Something-Something's layout with two classes."""
    write_text(
        folder / "labels.json", json.dumps({"Holding something next to something": "1", "Bending something": "0"})
    )
    train = [
        {
            "id": "78687",
            "label": "holding a cup next to a pot",
            "template": "Holding [something] next to [something]",
            "placeholders": ["a cup", "a pot"],
        }
    ]
    validation = [{"id": "74225", "label": "bending wire", "template": "Bending [something]", "placeholders": ["wire"]}]
    write_text(folder / "train.json", json.dumps(train))
    write_text(folder / "validation.json", json.dumps(validation))
    write_text(folder / "test.json", json.dumps([{"id": "1420"}]))
