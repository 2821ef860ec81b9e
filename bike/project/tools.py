"""git and DVC as programs, whose failures are one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bike.errors import BikeError, one_line

DVC = (sys.executable, "-m", "dvc")


def call(folder: Path, *words: str) -> str:
    """Run a program in a folder; what it printed.

    Raises:
        BikeError: it failed; its last line is quoted, of DVC the last error, behind which it offers help.
    """
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")]
        quoted = [*said, *errors][-1] if said else "no message"
        raise BikeError(f"{' '.join(words)}: failed in {folder} ({one_line(quoted)}).")
    return done.stdout
