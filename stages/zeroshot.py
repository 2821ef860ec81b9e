"""Stage zeroshot: the encoder before any video training, on the test split."""

from __future__ import annotations

from pathlib import Path

from bike.checkpoint import Place
from bike.evaluate.run_zeroshot import evaluate_zeroshot
from bike.evaluate.views import choose_views
from stages import machine, params, paths, run


def main() -> None:
    """``<lists folder> <shards folder> <results folder> --views 4x3``."""
    arguments = paths(__doc__, "lists", "shards", "out", views="clips x crops")
    settings, host = params(arguments), machine()
    evaluate_zeroshot(
        settings,
        samples=arguments.lists / "test.csv",
        frames=arguments.shards,
        labels=arguments.lists / "labels.csv",
        out=arguments.out,
        views=choose_views(settings.evaluate, arguments.views),
        place=Place(device=host.device, workers=host.workers, state_dir=Path("state") / "zeroshot" / arguments.views),
    )


if __name__ == "__main__":
    run(main)
