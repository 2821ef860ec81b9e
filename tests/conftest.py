"""What every test shares: where the reference data lies, and shape checking of annotated functions."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from helpers.places import shared_folder
from jaxtyping import install_import_hook

os.environ.setdefault("DVC_NO_ANALYTICS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Shapes in signatures are checked by beartype in tests only.
CHECKED = ["bike.model", "bike.train", "bike.evaluate", "bike.data.spatial", "bike.text"]
install_import_hook(CHECKED, "beartype.beartype")

# A runner in the background may ignore Ctrl-C; the programs that tests start and interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = shared_folder()
    if folder is None:
        pytest.skip("reference data is not beside the checkout (../shared, or set BIKE_SHARED)")
    return folder


@pytest.fixture(scope="session")
def golden(shared: Path) -> Path:
    return shared / "golden"
