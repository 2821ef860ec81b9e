"""Stage train-attributes: the attribute branch, on the corpus and without frames."""

from __future__ import annotations

from bike.model.formats.official import OFFICIAL_FILES
from bike.runtime.numerics import choose_numerics
from stages import check_is_dep, machine, params, paths, run_launched


def main() -> None:
    """``<lists folder> <corpus.json> <checkpoint> <curves folder>``."""
    arguments = paths(
        __doc__, "lists", "corpus", "out", "curves", validate="split to validate on, or none; left out: val"
    )
    settings = params(arguments)
    choose_numerics(settings.numerics)
    from bike.runtime.checkpoint import Place
    from bike.train.run_attributes import train_attributes

    validate = arguments.validate or "val"
    check_is_dep("model.weights", settings.model.weights, official=OFFICIAL_FILES)
    train_attributes(
        settings,
        train_list=arguments.lists / "train.csv",
        val_list=None if validate == "none" else arguments.lists / f"{validate}.csv",
        corpus=arguments.corpus,
        labels=arguments.lists / "labels.csv",
        out=arguments.out,
        place=Place(device=machine().device, apart=True, live_dir=arguments.curves),
    )


if __name__ == "__main__":
    run_launched(main)
