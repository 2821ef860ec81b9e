"""``python -m bike.project.stage NAME …``: runs a stage of `stages/`, wherever the package lies, for a project."""

from __future__ import annotations

import runpy
import sys

from bike.project.code import shipped_root


def main() -> None:
    """Run ``stages/<NAME>.py`` with the arguments that follow."""
    root = shipped_root()
    names = sorted(path.stem for path in (root / "stages").glob("[a-z]*.py"))
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        sys.stderr.write(f"Error: a stage is needed (got {sys.argv[1:2]}): {', '.join(names)}.\n")
        sys.exit(1)
    sys.path.insert(0, str(root))
    del sys.argv[0]
    runpy.run_module(f"stages.{sys.argv[0]}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
