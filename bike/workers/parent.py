"""A process that ends when its parent does: what a killed parent can't do itself."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

LAUNCHER = "BIKE_LAUNCHER"  # in the environment of processes that a torchrun of ours starts: its number
_PR_SET_PDEATHSIG = 1  # from linux/prctl.h


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, so that nothing is written after that (Linux only)."""
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        os._exit(1)
