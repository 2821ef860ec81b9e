"""Stage train: one video branch; also under ``torchrun`` with any number of processes."""

from __future__ import annotations

from bike.model.formats.official import OFFICIAL_FILES
from bike.runtime.numerics import choose_numerics
from stages import check_is_dep, machine, params, paths, run_launched


def main() -> None:
    """``<lists folder> <shards folder> <checkpoint> <curves folder> [--temporal none|transf --interaction dp|vcs]``."""
    arguments = paths(
        __doc__,
        "lists",
        "shards",
        "out",
        "curves",
        temporal="temporal head; left out: model.temporal",
        interaction="interaction with the text; left out: model.interaction",
        validate="split to validate on, or none; left out: val",
        shards_of="folder below <shards folder> with the frames of every list; left out: one for each list",
    )
    settings, host = params(arguments), machine()
    choose_numerics(settings.numerics)
    from bike.runtime.checkpoint import Place
    from bike.train.run_video import train_video

    validate = arguments.validate or "val"
    check_is_dep("model.weights", settings.model.weights, official=OFFICIAL_FILES)
    check_is_dep("model.start_from", settings.model.start_from)
    train_video(
        settings,
        train_list=arguments.lists / "train.csv",
        train_frames=arguments.shards / (arguments.shards_of or "train"),
        val_list=None if validate == "none" else arguments.lists / f"{validate}.csv",
        val_frames=arguments.shards / (arguments.shards_of or validate),
        labels=arguments.lists / "labels.csv",
        out=arguments.out,
        temporal=arguments.temporal,
        interaction=arguments.interaction,
        place=Place(
            device=host.device,
            workers=host.workers,
            apart=True,
            live_dir=arguments.curves,
        ),
    )


if __name__ == "__main__":
    run_launched(main)
