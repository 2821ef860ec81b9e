"""Stage attributes: the best phrases of a lexicon for every video of every split."""

from __future__ import annotations

from pathlib import Path

from bike.model.formats.official import OFFICIAL_FILES
from bike.runtime.numerics import choose_numerics
from stages import check_is_dep, machine, params, paths, run


def main() -> None:
    """``<lexicon> <lists folder> <shards folder> <corpus.json>``."""
    arguments = paths(__doc__, "lexicon", "lists", "shards", "out")
    settings, host = params(arguments), machine()
    choose_numerics(settings.numerics)
    from bike.attributes.run import make_attributes, pair_lists
    from bike.runtime.checkpoint import Place

    check_is_dep("attributes.weights", settings.attributes.weights, official=OFFICIAL_FILES)
    if not settings.attributes.weights:
        check_is_dep("model.weights", settings.model.weights, official=OFFICIAL_FILES)
    make_attributes(
        settings,
        lexicon=arguments.lexicon,
        lists=pair_lists([arguments.lists], [arguments.shards]),
        out=arguments.out,
        place=Place(device=host.device, workers=host.workers, state_dir=Path("state") / "attributes-corpus"),
    )


if __name__ == "__main__":
    run(main)
