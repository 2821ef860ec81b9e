"""Stage evaluate: one video model in one view protocol, on the test split or another."""

from __future__ import annotations

from pathlib import Path

from bike.runtime.numerics import choose_numerics
from stages import machine, params, paths, run


def main() -> None:
    """``<checkpoint> <lists folder> <shards folder> <results folder> --views 4x3 [--split test]``."""
    arguments = paths(
        __doc__, "checkpoint", "lists", "shards", "out", views="clips x crops", split="list to score; left out: test"
    )
    settings, host = params(arguments), machine()
    choose_numerics(settings.numerics)
    from bike.evaluate.run_video import evaluate_video
    from bike.evaluate.views import choose_views
    from bike.runtime.checkpoint import Place

    evaluate_video(
        settings,
        checkpoint=arguments.checkpoint,
        samples=arguments.lists / f"{arguments.split or 'test'}.csv",
        frames=arguments.shards,
        labels=arguments.lists / "labels.csv",
        out=arguments.out,
        views=choose_views(settings.evaluate, arguments.views),
        place=Place(
            device=host.device,
            workers=host.workers,
            state_dir=Path("state") / "evaluate" / arguments.checkpoint.stem / arguments.views,
        ),
    )


if __name__ == "__main__":
    run(main)
