"""Stage demo-data: render and encode the generated data set."""

from __future__ import annotations

from bike.demo.run import make_demo_data
from stages import params, paths, run


def main() -> None:
    """``<folder>``: gets ``videos.tar`` and ``annotations.csv``."""
    arguments = paths(__doc__, "folder")
    settings = params(arguments)
    make_demo_data(arguments.folder, settings.demo_data)


if __name__ == "__main__":
    run(main)
