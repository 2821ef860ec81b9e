"""Stage evaluate: video models in view protocols, on the test split or another."""

from __future__ import annotations

from pathlib import Path

from bike.runtime.numerics import choose_numerics
from stages import machine, named, params, paths, run, several


def main() -> None:
    """``<checkpoint> <lists> <shards> <results> --views "1x1 4x3" [--split test --heads "none-dp transf-vcs"]``.

    ``--published-map 256`` adds ``map_published``.

    In the results folder ``{views}`` stands for the protocol, there and in the checkpoint ``{heads}`` for the model.
    """
    arguments = paths(
        __doc__,
        "checkpoint",
        "lists",
        "shards",
        "out",
        views="clips x crops, with blanks between several",
        split="list to score; left out: test",
        heads="names of models, which are scored side by side",
        published_map="also the published running mean of mAP, for batches of so many videos",
    )
    settings, host = params(arguments), machine()
    choose_numerics(settings.numerics)
    from bike.evaluate.run_video import evaluate_video
    from bike.evaluate.views import choose_views
    from bike.runtime.checkpoint import Place

    checkpoint = named(arguments.checkpoint, heads=arguments.heads)
    for views in several(arguments.views, "{views}", arguments.out):
        evaluate_video(
            settings,
            checkpoint=checkpoint,
            samples=arguments.lists / f"{arguments.split or 'test'}.csv",
            frames=arguments.shards,
            labels=arguments.lists / "labels.csv",
            out=named(arguments.out, heads=arguments.heads, views=views),
            views=choose_views(settings.evaluate, views),
            published_map_batch=int(arguments.published_map) if arguments.published_map else None,
            place=Place(
                device=host.device,
                workers=host.workers,
                state_dir=Path("state") / "evaluate" / checkpoint.stem / views,
            ),
        )


if __name__ == "__main__":
    run(main, each="--heads", place="{heads}")
