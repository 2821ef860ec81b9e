"""``python -m bike.project.page docs``: a page for each data set of the published rows, from the presets."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from bike.errors import DataError
from bike.files import atomic_write, read_text
from bike.params import Extract, Params
from bike.project.dataset import load_datasets
from bike.project.hours import expected_hours
from bike.project.takes import FRAME_BYTES, SHARD_SPEED, SPEEDS, estimate, footage_of_source
from bike.zoo import Preset, commands, load_zoo, show_metrics


def read_speeds(benchmarks: Path) -> dict[str, float]:
    """Frames a second that extraction reached, by the size of the source: from the page of benchmarks.

    Raises:
        DataError: they are not there.
    """
    rows = re.findall(r"extraction, (\S+) → 256 \| ffmpeg command line \| ([\d,]+) :", read_text(benchmarks))
    speeds = {size: float(speed.replace(",", "")) for size, speed in rows}
    if not SPEEDS.keys() <= speeds.keys():
        raise DataError(f"{benchmarks}: no speeds of extraction in it. Run `bike bench data`.")
    return speeds


def dataset_page(name: str, speeds: dict[str, float]) -> str:
    """The page of a data set.

    Args:
        name: such as ``ucf101``.
        speeds: of :func:`read_speeds`.
    """
    data, zoo = load_datasets()[name], load_zoo()
    source, speed = data.source, speeds[data.source.size]
    decoded = source.videos * source.seconds * source.fps
    options = Extract.model_validate(data.params.get("extract", {}))
    thinned, whole = (
        estimate([footage_of_source(source)], Params(extract=choice))
        for choice in (options, options.model_copy(update={"frames_per_video": None}))
    )
    kept = thinned.kept
    rows = [row for row in zoo.values() if row.dataset == name]
    tasks = {"full training": data.train, "three splits": data.splits, "base to novel": data.base_to_novel}
    tasks["zero-shot"] = data.zeroshot
    values = {
        "name": name,
        "data": data,
        "tasks": [(task, lists) for task, lists in tasks.items() if lists is not None],
        "counts": _counts,
        "commands": commands(rows[0]),
        "checkpoints": sorted({f"`{row.params.model.start_from}`" for row in rows if row.params.model.start_from}),
        "packs": _gigabytes(thinned.pack_bytes),
        "every": _gigabytes(whole.pack_bytes) if kept < whole.kept else "",
        "shard_hours": f"{thinned.shard_hours:.2g}",
        "shard_speed": round(SHARD_SPEED / 1e6),
        "extract": f"{decoded / speed / 3600:.2g}",
        "millions": f"{decoded / 1e6:.3g}",
        "kept": f"{kept / 1e6:.3g}" if kept < decoded else "",
        "rule": _rule(options, rows),
        "speed": round(speed),
        "kilobytes": round(FRAME_BYTES / 1e3),
        "rows": [
            {
                "name": row.name,
                "input": f"{row.params.model.weights}, {row.params.model.frames} frames",
                "views": ", ".join(row.params.evaluate.views),
                "published": show_metrics(dict(row.published), tuple(row.published)),
                "memory": "–" if row.memory_gb is None else f"{row.memory_gb:g}",
                "hours": f"{expected_hours(row):.2g}",
            }
            for row in rows
        ],
    }
    environment = Environment(  # noqa: S701 (Markdown for people: nothing is escaped)
        loader=PackageLoader("bike.project"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("dataset.md.j2").render(values)


def _rule(options: Extract, rows: Iterable[Preset]) -> str:
    if options.frames_per_video is None:
        return f"{options.fps or 0:g} a second"
    several = any(views.clips > 1 for row in rows for views in row.params.evaluate.views.values())
    return f"{options.frames_per_video} of each video" + " (all, in rows of several clips)" * several


def _counts(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:,}" for number in numbers)


def _gigabytes(size: float) -> str:
    number, unit = (size / 1e12, "TB") if size >= 1e12 else (size / 1e9, "GB")
    return f"{float(f'{number:.2g}'):g} {unit}"


def main() -> None:
    """Write ``<docs>/benchmarks/<data set>.md``; the speeds are those of ``<docs>/benchmarks.md``."""
    docs = Path(sys.argv[1])
    speeds = read_speeds(docs / "benchmarks.md")
    for name in load_datasets():
        with atomic_write(docs / "benchmarks" / f"{name}.md", "w") as file:
            file.write(dataset_page(name, speeds))


if __name__ == "__main__":
    main()
