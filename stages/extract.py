"""Stage extract: videos to frame packs; the manifest names every reject."""

from __future__ import annotations

from bike.extract.run import extract_videos
from bike.project.media import media_source
from stages import machine, params, paths, run


def main() -> None:
    """``<videos, or media.csv> <frames folder>``."""
    arguments = paths(__doc__, "videos", "frames")
    settings = params(arguments)
    videos, listing = media_source(arguments.videos)
    extract_videos(
        videos,
        arguments.frames,
        listing=listing,
        options=settings.extract,
        jobs=machine().jobs,
        follow_links=listing is not None,  # media.csv names what its author allowed
        replace=True,
    )


if __name__ == "__main__":
    run(main)
