"""Stage shard: the frame packs of one split to tar shards.

The packs are no output of the pipeline (DVC pays per file), so a checkout may have a manifest without them: they are
then extracted again first, which gives the same bytes.
"""

from __future__ import annotations

from bike.extract.run import extract_videos
from bike.records import read_list
from bike.shard.run import missing_packs, write_shards
from stages import machine, params, paths, run


def main() -> None:
    """``<list.csv> <frames folder> <shards folder> --videos <videos>``."""
    arguments = paths(__doc__, "list", "frames", "shards", videos="where the packs came from")
    settings, host = params(arguments), machine()
    if arguments.videos and missing_packs(read_list(arguments.list), arguments.frames):
        extract_videos(arguments.videos, arguments.frames, options=settings.extract, jobs=host.jobs, replace=True)
    write_shards(
        arguments.list,
        arguments.frames,
        arguments.shards,
        max_size_mb=settings.shard.max_size_mb,
        frames_per_video=settings.shard.frames_per_video,
        payload=settings.shard.payload,
        media=arguments.videos,
        jobs=host.jobs,
    )


if __name__ == "__main__":
    run(main)
