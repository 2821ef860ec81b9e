"""Video recognition with CLIP after BIKE (CVPR 2023), as a reproducible pipeline.

``bike.load(model)`` gives a recogniser, ``bike.plot_saliency(prediction)`` a picture of what counted. Both are imported
when they are asked for, so that ``import bike`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bike.predict import load as load
    from bike.predict import plot_saliency as plot_saliency

    __version__: str


def __getattr__(name: str) -> Any:
    if name in ("load", "plot_saliency"):
        return getattr(importlib.import_module("bike.predict"), name)
    if name == "__version__":
        return importlib.import_module("bike.provenance").version_of("bike-video")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
