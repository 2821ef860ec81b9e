"""Stage train: one video branch; also under ``torchrun`` with any number of processes."""

from __future__ import annotations

from bike.model.formats.official import OFFICIAL_FILES
from bike.runtime.numerics import choose_numerics
from stages import check_is_dep, machine, named, params, paths, run_launched


def main() -> None:
    """``<lists> <shards> <checkpoint> <curves> [--heads "none-dp transf-vcs"]``.

    In the last two places ``{heads}`` stands for the head's name.
    """
    arguments = paths(
        __doc__,
        "lists",
        "shards",
        "out",
        "curves",
        heads="temporal head and interaction, such as transf-vcs; several are trained side by side; left out: model",
        validate="split to validate on, or none; left out: val",
        shards_of="folder below <shards folder> with the frames of every list; left out: one for each list",
    )
    settings, host = params(arguments), machine()
    choose_numerics(settings.numerics)
    from bike.runtime.checkpoint import Place
    from bike.train.run_video import train_video

    validate = arguments.validate or "val"
    temporal, _, interaction = (arguments.heads or "").partition("-")
    check_is_dep("model.weights", settings.model.weights, official=OFFICIAL_FILES)
    check_is_dep("model.start_from", settings.model.start_from)
    train_video(
        settings,
        train_list=arguments.lists / "train.csv",
        train_frames=arguments.shards / (arguments.shards_of or "train"),
        val_list=None if validate == "none" else arguments.lists / f"{validate}.csv",
        val_frames=arguments.shards / (arguments.shards_of or validate),
        labels=arguments.lists / "labels.csv",
        out=named(arguments.out, heads=arguments.heads),
        temporal=temporal or None,
        interaction=interaction or None,
        place=Place(
            device=host.device,
            workers=host.workers,
            apart=True,
            live_dir=named(arguments.curves, heads=arguments.heads),
        ),
    )


if __name__ == "__main__":
    run_launched(main, each="--heads", place="{heads}")
