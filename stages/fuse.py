"""Stage fuse: the scores of the video branch and of the attribute branch, weighted."""

from __future__ import annotations

from bike.runtime.numerics import choose_numerics
from stages import params, paths, run


def main() -> None:
    """``<video results> <attribute results> <results folder>``."""
    arguments = paths(__doc__, "video", "attributes", "out")
    settings = params(arguments)
    choose_numerics(settings.numerics)
    from bike.evaluate.run_fuse import fuse_results

    fuse_results(arguments.video, arguments.attributes, arguments.out, video_weight=settings.fuse.video_weight)


if __name__ == "__main__":
    run(main)
