"""The videos there are: from the manifest of ``bike extract``, a folder of videos, or folders of JPEG frames."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bike.errors import DataError
from bike.files import existing_dir
from bike.formats.folders import frame_folder_record
from bike.names import is_video, video_keys
from bike.records import VideoRecord, read_manifest

_FRAME_NAME = re.compile(r"(?s)(img_|image_|.*-)(\d{4,9})\.jpg")


@dataclass
class Media:
    """The videos that lists can be made of.

    Attributes:
        records: one for each video; ``frames`` is 0 and ``fps`` 0 where they are not known without decoding.
        kind: ``packs`` (a manifest), ``videos`` (files, frames not counted), ``frames`` (folders of
            JPEGs) or ``none`` (lists are made without looking).
        place: where they were found, for messages.
        keyed: frames lie in folders named by the videos' keys (``bike extract --layout folders``).
        note: a remark for the summary, or an empty string.
    """

    records: list[VideoRecord]
    kind: Literal["packs", "videos", "frames", "none"]
    place: str
    keyed: bool = False
    note: str = ""


def read_media(path: Path | str | None) -> Media:
    """Find the videos at ``path``: a manifest CSV, a folder with one, a folder of videos, or of frame folders.

    None gives no videos, of the kind ``none``.

    Raises:
        DataError: there are no videos, or the manifest is damaged.
        BikeError: there is no such file or folder.
    """
    if path is None:
        return Media([], "none", "")
    path = Path(path)
    if path.is_dir() and (path / "manifest.csv").is_file():
        path = path / "manifest.csv"
    if path.is_file():
        records = read_manifest(path)
        if not records:
            raise DataError(f"{path}: the manifest has no videos. Extract some first.")
        accepted = next((record.key for record in records if record.status == "ok"), None)
        return Media(records, "packs", str(path), keyed=accepted is not None and (path.parent / accepted).is_dir())
    videos, frames = scan_folder(existing_dir(path))
    if not videos and not frames:
        raise DataError(f"{path}: no videos and no folders of frames in it. Give the folder that has them.")
    if len(videos) > len(frames):
        note = f"{path}: {len(frames)} folders of frames beside the videos are not looked at." if frames else ""
        return Media(_records_of_videos(videos), "videos", str(path), note=note)
    note = f"{path}: {len(videos)} videos beside the folders of frames are not looked at." if videos else ""
    return Media([frame_folder_record(key, *item) for key, item in _keyed(frames)], "frames", str(path), note=note)


def scan_folder(root: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Videos below ``root`` (sorted relative paths), and folders of frames with the names in them.

    Hidden files and folders are passed over; links to folders are not followed.
    """
    videos: list[str] = []
    frames: dict[str, list[str]] = {}
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        names: list[str] = []
        with os.scandir(root / prefix) as items:
            for item in items:
                if item.name.startswith("."):
                    continue
                relative = f"{prefix}/{item.name}" if prefix else item.name
                if item.is_dir(follow_symlinks=False):
                    waiting.append(relative)
                elif is_video(item.name):
                    videos.append(relative)
                elif _FRAME_NAME.fullmatch(item.name):
                    names.append(item.name)
        if names and prefix:
            frames[prefix] = names
    return sorted(videos), dict(sorted(frames.items()))


def _records_of_videos(paths: list[str]) -> list[VideoRecord]:
    return [VideoRecord(key, path, "ok") for key, path in zip(video_keys(paths), paths, strict=True)]


def _keyed(frames: dict[str, list[str]]) -> Iterable[tuple[str, tuple[str, list[str]]]]:
    return zip(video_keys(list(frames)), frames.items(), strict=True)
