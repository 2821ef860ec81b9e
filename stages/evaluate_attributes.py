"""Stage evaluate-attributes: the attribute branch, on the test split or another."""

from __future__ import annotations

from bike.runtime.numerics import choose_numerics
from stages import machine, params, paths, run


def main() -> None:
    """``<checkpoint> <lists folder> <corpus.json> <results folder> [--split test]``."""
    arguments = paths(__doc__, "checkpoint", "lists", "corpus", "out", split="list to score; left out: test")
    settings = params(arguments)
    choose_numerics(settings.numerics)
    from bike.evaluate.run_attributes import evaluate_attributes
    from bike.runtime.checkpoint import Place

    evaluate_attributes(
        settings,
        checkpoint=arguments.checkpoint,
        samples=arguments.lists / f"{arguments.split or 'test'}.csv",
        corpus=arguments.corpus,
        labels=arguments.lists / "labels.csv",
        out=arguments.out,
        place=Place(device=machine().device),
    )


if __name__ == "__main__":
    run(main)
