"""Stage extract: videos to frame packs; the manifest names every reject."""

from __future__ import annotations

from bike.extract.run import extract_videos
from stages import machine, params, paths, run


def main() -> None:
    """``<videos> <frames folder>``."""
    arguments = paths(__doc__, "videos", "frames")
    settings = params(arguments)
    extract_videos(arguments.videos, arguments.frames, options=settings.extract, jobs=machine().jobs, replace=True)


if __name__ == "__main__":
    run(main)
