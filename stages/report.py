"""Stage report: the page, and the result table as a file."""

from __future__ import annotations

from bike.runtime.numerics import choose_numerics
from stages import params, paths, run


def main() -> None:
    """``<results> <lists> <manifest> <test shards> <checkpoint> <report folder> --expected "…"``."""
    arguments = paths(
        __doc__,
        "results",
        "lists",
        "manifest",
        "frames",
        "checkpoint",
        "out",
        expected="folders below results, with blanks between them; one that is missing ends the stage",
    )
    settings = params(arguments)
    choose_numerics(settings.numerics)
    from bike.report.run import build_report

    build_report(
        arguments.results,
        arguments.out,
        params=settings,
        lists=arguments.lists,
        manifest=arguments.manifest,
        frames=arguments.frames,
        checkpoint=arguments.checkpoint,
        expected=(arguments.expected or "").split(),
    )


if __name__ == "__main__":
    run(main)
