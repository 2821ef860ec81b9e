"""Where the checkout is, and the reference data beside it."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def shared_folder() -> Path | None:
    """The folder of reference data beside the checkout (or $BIKE_SHARED), None where it is absent."""
    folder = Path(os.environ.get("BIKE_SHARED", ROOT.parent / "shared"))
    return folder if folder.is_dir() else None
