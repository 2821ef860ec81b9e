"""Whether the processor may decide the last digit, and how threads wait: what torch's libraries read as they load."""

from __future__ import annotations

import logging
import os
import platform
import sys
from pathlib import Path
from typing import Literal

from bike.errors import BikeError

log = logging.getLogger("bike")
Numerics = Literal["portable", "fast"]

# Each library's instructions are those of AVX2, whoever made the processor and whatever else it can do. MKL's own AVX2
# branch is another one on processors that are not Intel's, so only its COMPATIBLE one will do; that keeps to SSE2, and
# large products go to oneDNN (bike/model/layers/linear.py).
PORTABLE = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"}


def choose_numerics(numerics: Numerics) -> None:
    """Set what makes results equal on every x86-64 processor with AVX2; before torch is imported, and for helpers too.

    Threads that wait give their core away from here on, unless ``OMP_WAIT_POLICY`` or ``GOMP_SPINCOUNT`` is set.

    Args:
        numerics: ``portable`` (equal results for the same number of threads) or ``fast`` (whatever the processor does
            best).

    Raises:
        BikeError: torch is imported already, or the processor has no AVX2.
    """
    # GNU's OpenMP, torch's on Linux, otherwise keeps waiting threads at work: where another process has one thread's
    # core, the rest wait for it at full speed, and a training takes five to ten times as long.
    if "GOMP_SPINCOUNT" not in os.environ:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if numerics == "fast" or chosen_numerics() == "portable":
        return
    if not _is_x86():
        log.warning("numerics: portable is for x86-64; the last digits of %s are its own.", platform.machine())
        return
    if "torch" in sys.modules:
        words = " ".join(f"{name}={value}" for name, value in PORTABLE.items())
        raise BikeError(f"numerics: torch is loaded, too late for portable. Start the process with {words}.")
    if not has_avx2():
        raise BikeError("numerics: portable needs AVX2, which this processor has not; fast works here. Choose fast.")
    os.environ.update(PORTABLE)


def chosen_numerics() -> Numerics:
    """What this process's environment says, whoever set it."""
    return "portable" if PORTABLE.items() <= os.environ.items() else "fast"


def has_avx2() -> bool:
    """Whether this is an x86-64 processor with AVX2, as far as the system tells."""
    if not _is_x86():
        return False
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True
    return "flags" not in text or " avx2 " in text


def _is_x86() -> bool:
    return platform.machine() in ("x86_64", "AMD64")
