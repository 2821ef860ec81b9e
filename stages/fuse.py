"""Stage fuse: the scores of the video branch and of the attribute branch, weighted."""

from __future__ import annotations

from bike.runtime.numerics import choose_numerics
from stages import named, params, paths, run, several


def main() -> None:
    """``<video results> <attribute results> <results folder> [--views "1x1 4x3"]``.

    In the first and the last ``{views}`` stands for the protocol.
    """
    arguments = paths(__doc__, "video", "attributes", "out", views="protocols to fuse, with blanks between them")
    settings = params(arguments)
    choose_numerics(settings.numerics)
    from bike.evaluate.run_fuse import fuse_results

    for views in several(arguments.views or "-", "{views}", arguments.out):
        places = (named(place, views=views) for place in (arguments.video, arguments.attributes, arguments.out))
        fuse_results(*places, video_weight=settings.fuse.video_weight)


if __name__ == "__main__":
    run(main)
