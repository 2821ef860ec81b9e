"""Whether a data set looks sound: a quick look at some of its videos, not a full verification."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bike.doctor.check import Check
from bike.errors import BikeError, first_few, one_line
from bike.files.names import shown

if TYPE_CHECKING:
    from bike.frames.source import FrameSource
    from bike.records import VideoRecord

Item = TypeVar("Item")


def check_data(path: Path | str, *, samples: int = 20) -> list[Check]:
    """A quick look at a data set: a folder of shards, of frame packs, or of videos (or a list, CSV or tar of them).

    At most ``samples`` of its videos, evenly spread, are opened.

    Returns:
        The findings; the first says what the data set was taken for.
    """
    path = Path(path)
    look = _shards if (path / "manifest.json").is_file() else _packs if (path / "manifest.csv").is_file() else _videos
    try:
        return list(look(path, samples))
    except BikeError as error:
        return [Check("data", "bad", one_line(error))]


def _videos(path: Path, samples: int) -> Iterator[Check]:
    from bike.video.decode import survey_video
    from bike.video.file import UnreadableError
    from bike.video.find import find_videos

    found = find_videos(path)
    num_bytes = sum(video.stamp[0] for video in found if video.stamp)
    yield Check("data", "ok", f"{len(found)} videos, {num_bytes / 1e6:.1f} MB")
    if problems := [f"{shown(video.path)} ({video.problem.partition('; --')[0]})" for video in found if video.problem]:
        yield Check("files", "bad", f"{len(problems)} can't be read: {first_few(problems)}")
    chosen = spread([video for video in found if not video.problem], samples)
    if not chosen:
        return
    bad, sound = [], []
    for video in chosen:
        try:
            facts = survey_video(video.file, timeout_seconds=30)
            if facts.damage:
                raise UnreadableError(facts.damage)
            sound.append(facts)
        except UnreadableError as error:
            bad.append(f"{shown(video.path)} ({error})")
    text = f"{len(sound)} of {len(chosen)} sampled videos decode"
    if sound:
        sizes = sorted(((facts.width, facts.height) for facts in sound), key=min)
        shapes = " to ".join(f"{width}x{height}" for width, height in (sizes[0], sizes[-1]))
        text += f", {sum(facts.frames for facts in sound)} frames, {shapes} px"
    yield _counted("decoding", text, bad)


def _packs(folder: Path, samples: int) -> Iterator[Check]:
    from bike.frames.open import open_source
    from bike.records import Sample, read_manifest

    records = read_manifest(folder / "manifest.csv")
    good = [record for record in records if record.status == "ok"]
    frames, num_bytes = sum(record.num_kept for record in good), sum(record.bytes for record in good)
    in_all = sum(record.frames for record in good)
    of_all = f" of {in_all}" if frames < in_all else ""
    kind = "frame folders" if good and (folder / good[0].key).is_dir() else "frame packs"
    yield Check("data", "ok", f"{kind} of {len(good)} videos, {frames}{of_all} frames, {num_bytes / 1e6:.1f} MB")
    if rejected := [f"{shown(record.path)} ({record.error})" for record in records if record.status != "ok"]:
        yield Check("rejected", "note", f"{len(rejected)}: {first_few(rejected)}")
    kept = [record for record in good if _bytes_there(folder, record) == record.bytes]
    if lost := sorted({record.key for record in good} - {record.key for record in kept}):
        text = f"{len(lost)} are missing or of another size: {first_few(lost)}. Run `bike extract` again."
        yield Check("packs", "bad", text)
    if rows := [Sample(each.key, each.key, each.path, (0,), each.frames) for each in spread(kept, samples)]:
        yield _reading("packs", open_source(folder, rows), [row.video for row in rows])


def _bytes_there(folder: Path, record: VideoRecord) -> int:
    """Bytes of a video's pack or, where there is none, of its frame folder; 0 for neither."""
    from bike.formats.folders import written_frames

    pack, frames = folder / f"{record.key}.mjpg", folder / record.key
    files = [pack] if pack.is_file() else [frames / name for name in written_frames(frames)]
    return sum(file.stat().st_size for file in files)


def _shards(folder: Path, samples: int) -> Iterator[Check]:
    from bike.frames.shards import ShardSource

    source = ShardSource(folder)
    sizes = dict(zip(source.index.shards, source.index.sizes, strict=True))
    videos = sorted(source.index.keys)
    yield Check("data", "ok", f"{len(sizes)} shards of {len(videos)} videos, {sum(sizes.values()) / 1e6:.1f} MB")
    wrong = [n for n, size in sizes.items() if not (folder / n).is_file() or (folder / n).stat().st_size != size]
    if wrong:
        text = f"{len(wrong)} are missing or of another size: {first_few(wrong)}. Run `bike shard` again."
        yield Check("shards", "bad", text)
    else:
        yield Check("shards", "ok", "all there, sizes as in the manifest; `bike shard --verify` reads every byte")
    yield _reading("videos", source, spread(videos, samples))


def _reading(what: str, source: FrameSource, videos: Sequence[str]) -> Check:
    """Read the first and the last frame of each video."""
    bad = []
    for video in videos:
        try:
            source.read(video, [0, source.num_frames(video) - 1])
        except BikeError as error:
            bad.append(one_line(error).partition("; --")[0])
    return _counted("reading", f"{len(videos) - len(bad)} of {len(videos)} sampled {what} read well", bad)


def _counted(subject: str, text: str, bad: Sequence[str]) -> Check:
    return Check(subject, "bad", f"{text}: {first_few(bad)}") if bad else Check(subject, "ok", text)


def spread(items: list[Item], count: int) -> list[Item]:
    """At most ``count`` items, evenly spread, the first and last included."""
    if len(items) <= count:
        return items
    last = len(items) - 1
    return [items[round(place * last / max(1, count - 1))] for place in range(count)]
