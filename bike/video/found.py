"""A video that was found in a source, before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from bike.video.file import VideoFile


@dataclass(frozen=True, slots=True)
class FoundVideo:
    """A video to extract.

    Attributes:
        path: its name in the manifest, relative to the source; undecodable bytes are surrogates.
        file: where its bytes are.
        stamp: changes when the bytes do: size, modification time, and position in a tar.
        problem: why it can't be read, or an empty string.
    """

    path: str
    file: VideoFile
    stamp: tuple[int, ...] = ()
    problem: str = ""
