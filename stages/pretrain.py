"""Stage pretrain: small CLIPs from captioned stills, in the place of the official weights."""

from __future__ import annotations

from bike.errors import ParamsError
from bike.runtime.numerics import choose_numerics
from stages import named, params, paths, run


def main() -> None:
    """``<weights.safetensors> <curves folder> [--sections "pretrain pretrain_strong"]``.

    In both places ``{kind}`` stands for what follows ``pretrain`` in the section's name.
    """
    arguments = paths(__doc__, "out", "curves", sections="of params.yaml; several models are trained side by side")
    settings, section = params(arguments), arguments.sections or "pretrain"
    choose_numerics(settings.numerics)
    if not section.startswith("pretrain") or section not in type(settings).model_fields:
        raise ParamsError(f"--sections: {section!r} is no section of a CLIP. pretrain and pretrain_strong are.")
    from bike.pretrain.run import pretrain_clip
    from bike.runtime.checkpoint import Place

    kind = section.removeprefix("pretrain")
    place = Place(apart=True, live_dir=named(arguments.curves, kind=kind))
    pretrain_clip(named(arguments.out, kind=kind), getattr(settings, section), section=section, place=place)


if __name__ == "__main__":
    run(main, each="--sections", place="{kind}")
