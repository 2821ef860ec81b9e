"""How much memory this process holds."""

from __future__ import annotations

import re
from pathlib import Path

from bike.errors import BikeError


def process_mib(key: str) -> float:
    """A figure of this process that the Linux kernel keeps, in MiB (``getrusage`` would count the parent's too).

    Args:
        key: ``VmRSS`` for what it holds now, ``VmHWM`` for the most it ever held.

    Raises:
        BikeError: not on Linux.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise BikeError("peak memory: needs /proc/self/status, which only Linux has.") from error
    match = re.search(rf"{key}:\s*(\d+) kB", status)
    if match is None:
        raise BikeError(f"peak memory: /proc/self/status has no {key}.")
    return int(match[1]) / 1024
