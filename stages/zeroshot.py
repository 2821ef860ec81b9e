"""Stage zeroshot: the encoder before any video training, or a checkpoint on classes it never saw."""

from __future__ import annotations

from pathlib import Path

from bike.model.formats.official import OFFICIAL_FILES
from bike.runtime.numerics import choose_numerics
from stages import check_is_dep, machine, named, params, paths, run, several


def main() -> None:
    """``<lists> <shards> <results> --views "1x1 4x3" [--split test --checkpoint FILE --classes "FILE …"]``.

    In the results folder ``{views}`` stands for the protocol.
    """
    arguments = paths(
        __doc__,
        "lists",
        "shards",
        "out",
        views="clips x crops, with blanks between several",
        split="list to score; left out: test",
        checkpoint="trained video branch; left out: CLIP as it came",
        classes="files with the class names of one split each, with blanks between them",
    )
    settings, host = params(arguments), machine()
    choose_numerics(settings.numerics)
    from bike.evaluate.run_zeroshot import evaluate_zeroshot
    from bike.evaluate.views import choose_views
    from bike.runtime.checkpoint import Place

    check_is_dep("model.weights", settings.model.weights, official=OFFICIAL_FILES)
    for views in several(arguments.views, "{views}", arguments.out):
        evaluate_zeroshot(
            settings,
            samples=arguments.lists / f"{arguments.split or 'test'}.csv",
            frames=arguments.shards,
            labels=arguments.lists / "labels.csv",
            out=named(arguments.out, views=views),
            views=choose_views(settings.evaluate, views),
            checkpoint=arguments.checkpoint,
            class_splits=(arguments.classes or "").split(),
            place=Place(device=host.device, workers=host.workers, state_dir=Path("state") / "zeroshot" / views),
        )


if __name__ == "__main__":
    run(main)
