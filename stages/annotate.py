"""Stage annotate: annotation (a CSV of paths and labels, or official files) and the manifest, to lists and audit."""

from __future__ import annotations

from pathlib import Path

from bike.annotate.audit import DONE
from bike.annotate.entries import ReadOptions
from bike.annotate.run import annotate
from bike.progress import log
from stages import params, paths, run


def main() -> None:
    """``<annotations> <manifest.csv> <lists folder> [--reader ucf101 --fold 1 --labels FILE --splits val=test,…]``."""
    arguments = paths(
        __doc__,
        "annotations",
        "manifest",
        "lists",
        reader="form of the annotation; left out: csv",
        fold="official split",
        labels="class names",
        splits="what the annotation calls a split = train, val, test or nothing, with commas between them",
    )
    settings = params(arguments)
    options = ReadOptions(
        fold=int(arguments.fold) if arguments.fold else None,
        labels=Path(arguments.labels) if arguments.labels else None,
        splits=dict(pair.split("=") for pair in arguments.splits.split(",")) if arguments.splits else {},
    )
    audit = annotate(
        arguments.reader or "csv",
        arguments.annotations,
        arguments.manifest,
        arguments.lists,
        policies=settings.annotate,
        options=options,
    )
    found = "".join(f"; {count} {kind} {DONE[action]}" for (kind, action), count in audit.counts().items())
    log.info("%s; %s%s", audit.summary(), audit.list_counts(), found)


if __name__ == "__main__":
    run(main)
