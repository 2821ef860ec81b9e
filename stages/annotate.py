"""Stage annotate: a CSV of paths and labels, and the manifest, to lists, class names and the audit."""

from __future__ import annotations

from bike.annotate.run import annotate
from stages import params, paths, run


def main() -> None:
    """``<annotations.csv> <manifest.csv> <lists folder>``."""
    arguments = paths(__doc__, "annotations", "manifest", "lists")
    settings = params(arguments)
    annotate("csv", arguments.annotations, arguments.manifest, arguments.lists, policies=settings.annotate)


if __name__ == "__main__":
    run(main)
