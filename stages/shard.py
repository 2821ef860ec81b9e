"""Stage shard: the frame packs of some splits to tar shards.

The packs are no output of the pipeline (DVC pays per file), so a checkout may have a manifest without them, or with
those of an extraction with other parameters: they are then extracted again first, which gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path

from bike.extract.run import extract_videos
from bike.formats.lists import load_samples
from bike.project.media import media_source
from bike.shard.run import missing_packs, write_shards
from stages import machine, named, params, paths, run, several


def main() -> None:
    """``<list.csv or manifest.csv> <frames> <shards folder> --videos <videos, or media.csv> [--splits "train test"]``.

    In the list and the shards ``{split}`` stands for the split.
    """
    arguments = paths(
        __doc__, "list", "frames", "shards", videos="where the packs came from", splits="with blanks between them"
    )
    settings, host = params(arguments), machine()
    for split in several(arguments.splits or "-", "{split}", arguments.shards):
        samples = named(arguments.list, split=split)
        missing = missing_packs(load_samples(samples), arguments.frames)
        videos, listing = None, None
        if arguments.videos and (missing or settings.shard.payload == "mp4"):
            videos, listing = media_source(Path(arguments.videos))
        if videos and missing:
            extract_videos(
                videos,
                arguments.frames,
                listing=listing,
                options=settings.extract,
                jobs=host.jobs,
                follow_links=listing is not None,  # as at the extraction
                replace=True,
            )
        write_shards(
            samples,
            arguments.frames,
            named(arguments.shards, split=split),
            max_size_mb=settings.shard.max_size_mb,
            frames_per_video=settings.shard.frames_per_video,
            payload=settings.shard.payload,
            media=videos,
            follow_links=listing is not None,
            jobs=host.jobs,
        )


if __name__ == "__main__":
    run(main)
