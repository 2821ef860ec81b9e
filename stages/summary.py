"""Stage summary: a few numbers for git, and a page that compares them with the published ones."""

from __future__ import annotations

from pathlib import Path

from bike.project.protocol import load_protocol
from bike.project.summary import summarize_project
from stages import params, paths, run


def main() -> None:
    """``<protocol.yaml> <results folders> <metrics.json> <summary.md> [--further 1x1=FOLDER --zeroshot FOLDER]``.

    Results are one folder, or those of all folds with commas between them.
    """
    arguments = paths(
        __doc__,
        "protocol",
        "results",
        "metrics",
        "page",
        further="views=folder of further results, with commas between them",
        zeroshot="results without training",
    )
    pairs = [pair.partition("=") for pair in arguments.further.split(",")] if arguments.further else []
    summarize_project(
        load_protocol(arguments.protocol.parent),
        params(arguments),
        results=[Path(folder) for folder in str(arguments.results).split(",")],
        further={name: Path(folder) for name, _, folder in pairs},
        zeroshot=Path(arguments.zeroshot) if arguments.zeroshot else None,
        lists=Path("lists"),
        metrics=arguments.metrics,
        page=arguments.page,
    )


if __name__ == "__main__":
    run(main)
