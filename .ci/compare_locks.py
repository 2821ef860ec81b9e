"""Compare two ``dvc.lock`` files: which outputs are not the same, byte for byte.

``python .ci/compare_locks.py PINNED NEW`` prints all that differ, and exits with 1 where one does.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ruamel.yaml import YAML


def output_hashes(lock: Path) -> dict[str, str]:
    """``stage: output`` -> MD5 for every output in a ``dvc.lock``."""
    stages = YAML(typ="safe", pure=True).load(lock.read_text(encoding="utf-8"))["stages"]
    return {f"{name}: {out['path']}": out["md5"] for name, stage in stages.items() for out in stage.get("outs", [])}


def differences(pinned: Path, new: Path) -> list[str]:
    """One line for each output that differs, is missing, or is new."""
    before, after = output_hashes(pinned), output_hashes(new)
    return [
        f"{name}: {before.get(name, 'absent')} is now {after.get(name, 'absent')}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def main() -> int:
    """Entry point; see the module's docstring."""
    pinned, new = Path(sys.argv[1]), Path(sys.argv[2])
    found = differences(pinned, new)
    for line in found:
        sys.stderr.write(f"{line}\n")
    count = len(output_hashes(pinned))
    if not count:
        sys.stderr.write(f"{pinned}: no output in it\n")
        return 1
    sys.stdout.write(f"{count} outputs compared, {len(found)} differ\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
