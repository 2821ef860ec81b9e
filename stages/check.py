"""Stage check: a bad value, stale code or an absent file ends the run before any result is touched."""

from __future__ import annotations

from bike.files import atomic_write, sweep_file
from bike.project.check import check_stage
from stages import paths, run


def main() -> None:
    """``<file>``: written where nothing is wrong, with the same content each time, so that nothing reruns for it."""
    arguments = paths(__doc__, "out")
    check_stage()
    sweep_file(arguments.out)
    with atomic_write(arguments.out, "w") as file:
        file.write("checked\n")


if __name__ == "__main__":
    run(main)
