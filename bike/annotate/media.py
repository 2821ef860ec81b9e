"""The videos there are: from the manifest of ``bike extract``, a folder of videos, or folders of JPEG frames."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bike.errors import DataError
from bike.files import existing_dir
from bike.files.names import is_hidden, is_video, shown, video_keys
from bike.formats.folders import is_frame, order_frames
from bike.records import VideoRecord, read_manifest
from bike.video.walk import LEADS_OUT, walk_files


@dataclass
class Media:
    """The videos that lists can be made of.

    Attributes:
        records: one for each video; ``frames`` is 0 and ``fps`` 0 where they are not known without decoding.
        kind: ``packs`` (a manifest), ``videos`` (files, frames not counted), ``frames`` (folders of JPEGs) or ``none``
            (lists are made without looking).
        keyed: frames lie in folders named by the videos' keys (``bike extract --layout folders``).
        note: a remark for the summary, or an empty string.
    """

    records: list[VideoRecord]
    kind: Literal["packs", "videos", "frames", "none"]
    keyed: bool = False
    note: str = ""


def read_media(path: Path | str | None, *, follow_links: bool = False) -> Media:
    """Find the videos at ``path``: a manifest CSV, a folder with one, a folder of videos, or of frame folders.

    None gives no videos, of the kind ``none``. Links that lead out of a folder are followed with ``follow_links`` only.

    Raises:
        DataError: there are no videos, or the manifest is damaged.
        BikeError: there is no such file or folder.
    """
    if path is None:
        return Media([], "none")
    path = Path(path)
    if path.is_dir() and (path / "manifest.csv").is_file():
        path = path / "manifest.csv"
    if path.is_file():
        records = read_manifest(path)
        if not records:
            raise DataError(f"{path}: the manifest has no videos. Extract some first.")
        # The manifest does not say in which layout it was extracted; the first video's frames do.
        accepted = next((record.key for record in records if record.status == "ok"), None)
        return Media(records, "packs", keyed=accepted is not None and (path.parent / accepted).is_dir())
    videos, frames, note = scan_folder(existing_dir(path), follow_links=follow_links)
    if not videos and not frames:
        said = f" {note}" if note else ""
        raise DataError(f"{path}: no videos and no folders of frames in it. Give the folder that has them.{said}")
    names = videos or list(frames)
    keyed = zip(video_keys(names), names, strict=True)
    if videos:
        return Media([VideoRecord(key, name, "ok") for key, name in keyed], "videos", note=note)
    records = []
    for key, name in keyed:
        try:
            records.append(VideoRecord(key, name, "ok", frames=len(order_frames(frames[name]))))
        except DataError as error:
            records.append(VideoRecord(key, name, "rejected", error=str(error)))
    return Media(records, "frames", note=note)


def scan_folder(root: Path, *, follow_links: bool = False) -> tuple[list[str], dict[str, list[str]], str]:
    """Videos below ``root`` (sorted relative paths) or folders of frames with the names in them, whichever are more.

    Numbered JPEGs beside videos are thumbnails, not frames. Hidden files and folders are skipped; so are links that
    lead out of ``root``, without ``follow_links``.

    Returns:
        Videos and folders of frames, one of the two empty; and a remark on what was left out, or an empty string.
    """
    videos: list[str] = []
    frames: dict[str, list[str]] = {}
    outside: list[str] = []
    for path in walk_files(root, outside=None if follow_links else outside):
        relative = path[len(os.fspath(root)) :].lstrip("/")
        folder, _, name = relative.rpartition("/")
        if is_hidden(name):
            continue
        if is_video(name):
            videos.append(relative)
        elif folder and is_frame(name):
            frames.setdefault(folder, []).append(name)
    for folder in {video.rpartition("/")[0] for video in videos}:
        frames.pop(folder, None)
    notes = []
    if len(videos) > len(frames):
        if frames:
            notes.append(f"{root}: {len(frames)} folders of frames beside the videos are not looked at.")
        videos, frames = sorted(videos), {}
    else:
        if videos:
            notes.append(f"{root}: {len(videos)} videos beside the folders of frames are not looked at.")
        videos, frames = [], dict(sorted(frames.items()))
    links = [path for path in outside if not is_hidden(path) and (is_video(path) or os.path.isdir(path))]  # noqa: PTH112
    if links:
        notes.append(f"{shown(links[0])}: {LEADS_OUT} ({len(links)} of this kind).")
    return videos, frames, " ".join(notes)
