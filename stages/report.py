"""Stage report: the page, the table, and the table in the README."""

from __future__ import annotations

from pathlib import Path

from bike.report.run import build_report
from stages import params, paths, run


def main() -> None:
    """``<results folder> <lists folder> <manifest> <test shards> <checkpoint> <report folder> --readme README.md``."""
    arguments = paths(
        __doc__, "results", "lists", "manifest", "frames", "checkpoint", "out", readme="file whose table is renewed"
    )
    settings = params(arguments)
    build_report(
        arguments.results,
        arguments.out,
        params=settings,
        lists=arguments.lists,
        manifest=arguments.manifest,
        frames=arguments.frames,
        checkpoint=arguments.checkpoint,
        readme=Path(arguments.readme) if arguments.readme else None,
    )


if __name__ == "__main__":
    run(main)
