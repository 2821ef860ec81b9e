"""What a folder of shards holds, in numbers and on one page of pictures, before anything is trained on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from bike.errors import one_line
from bike.files import atomic_write, check_file
from bike.formats.kept import placed_frames
from bike.formats.shards import INDEX_NAME, MANIFEST_NAME, read_shard_manifest
from bike.frames.shards import ShardSource


@dataclass(frozen=True)
class ShardsInfo:
    """A folder of shards."""

    payload: str  # `mjpg` (frames) or `mp4` (video files)
    # shards, videos, samples, frames, bytes: how many; samples are the rows of the list, frames those stored, of
    # `frames_in_all` that the videos have
    shards: int
    videos: int
    samples: int
    frames: int
    frames_in_all: int
    bytes: int
    seconds: float  # of video, over the videos whose frame rate is known
    no_rate: int  # videos whose frame rate is not known
    sizes: dict[tuple[int, int], int]  # (width, height) in px -> videos
    # class name (the label, where the shards hold no names) -> samples; a sample of several classes counts for each.
    # Classes of the label list without a sample count 0.
    classes: dict[str, int]
    unlabelled: int  # samples without a label


def shards_info(folder: Path | str) -> ShardsInfo:
    """Count what a local folder of shards holds, from its manifest and the JSON of each video.

    Raises:
        DataError: no shards, unfinished or damaged ones.
    """
    source, manifest = ShardSource(folder), read_shard_manifest(Path(folder))
    names = manifest.get("names")
    sizes: Counter[tuple[int, int]] = Counter()
    classes: Counter[str] = Counter(dict.fromkeys(names or (), 0))
    frames = frames_in_all = no_rate = unlabelled = 0
    seconds = 0.0
    for key in source.index.keys:
        video = source.stored(key)
        sizes[video.width, video.height] += 1
        frames += len(video.kept.indices)
        frames_in_all += video.frames
        no_rate += not video.fps
        seconds += video.frames / video.fps if video.fps else 0
        for sample in video.samples:
            unlabelled += not sample.labels
            classes.update(_name(source, label) for label in sample.labels)
    return ShardsInfo(
        payload=source.index.payload,
        shards=len(source.index.shards),
        videos=len(source.index.keys),
        samples=manifest["samples"],
        frames=frames,
        frames_in_all=frames_in_all,
        bytes=manifest["bytes"],
        seconds=seconds,
        no_rate=no_rate,
        sizes=dict(sizes.most_common()),
        classes=dict(classes),
        unlabelled=unlabelled,
    )


def _name(source: ShardSource, label: int) -> str:
    names = source.class_names
    return names[label] if names and label < len(names) else str(label)


def write_preview(
    folder: Path | str, out: Path | str, *, videos: int = 40, frames: int = 8, replace: bool = False
) -> int:
    """Write one HTML page with a row of frames for each of some videos, evenly spread over the classes.

    There are at most ``videos`` rows of ``frames`` pictures; the page asks for nothing outside itself.

    Returns:
        How many videos are shown.

    Raises:
        DataError: no shards, unfinished or damaged ones; a frame that can't be read; ``out`` exists.
    """
    from bike.report.saliency import frame_image

    source, rows = ShardSource(folder), []
    read = (MANIFEST_NAME, INDEX_NAME, *source.index.shards)
    check_file(out, inputs=[Path(folder) / name for name in read], replace=replace)
    for key in _spread_over_classes(source, videos):
        video = source.stored(key)
        stored = video.kept.indices
        chosen = [stored[place] for place in placed_frames(len(stored), frames)]
        of_all = f"{len(stored)} of " if len(stored) < video.frames else ""
        labels = sorted({label for sample in video.samples for label in sample.labels})
        rows.append(
            {
                "key": key,
                "path": one_line(video.path),
                "names": [one_line(_name(source, label)) for label in labels],
                "facts": f"{of_all}{video.frames} frames, {video.width} × {video.height} px, {video.fps:.4g} a second",
                "pictures": list(zip(chosen, map(frame_image, source.read(key, chosen)), strict=True)),
            }
        )
    environment = Environment(
        loader=PackageLoader("bike.doctor", "."), autoescape=True, undefined=StrictUndefined, lstrip_blocks=True
    )
    template = environment.get_template("preview.html.j2")
    with atomic_write(out, "w") as file:
        file.write(template.render(folder=one_line(folder), rows=rows, total=len(source.index.keys)))
    return len(rows)


def _spread_over_classes(source: ShardSource, count: int) -> list[str]:
    """Keys of at most ``count`` videos: the first of each class, then the second of each, and so on."""
    place: Counter[tuple[int, ...]] = Counter()
    order = []
    for key in sorted(source.index.keys):
        labels = tuple(sorted({label for sample in source.stored(key).samples for label in sample.labels}))
        order.append((place[labels], labels, key))
        place[labels] += 1
    return sorted(key for _, _, key in sorted(order)[:count])
