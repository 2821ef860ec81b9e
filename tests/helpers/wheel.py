"""The wheel that people install."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from helpers.places import ROOT


def unpacked_wheel(folder: Path, checkout: Path = ROOT) -> Path:
    """Build the wheel of a checkout, as `pip wheel` does, and unpack it into a new folder."""
    hatchling = pytest.importorskip("hatchling.builders.wheel")
    built = next(hatchling.WheelBuilder(str(checkout)).build(directory=str(folder / "dist"), versions=["standard"]))
    with zipfile.ZipFile(built) as wheel:
        wheel.extractall(folder)
    Path(built).unlink()
    return folder
