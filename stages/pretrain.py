"""Stage pretrain: a small CLIP from captioned stills, in the place of the official weights."""

from __future__ import annotations

from bike.runtime.numerics import choose_numerics
from stages import params, paths, run


def main() -> None:
    """``<weights.safetensors> <curves folder>``."""
    arguments = paths(__doc__, "out", "curves")
    settings = params(arguments)
    choose_numerics(settings.numerics)
    from bike.pretrain.run import pretrain_clip
    from bike.runtime.checkpoint import Place

    place = Place(apart=True, live_dir=arguments.curves)
    pretrain_clip(arguments.out, settings.pretrain, place=place)


if __name__ == "__main__":
    run(main)
