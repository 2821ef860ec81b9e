"""Write into ``dvc.yaml`` the modules that each stage imports, because DVC does not follow imports.

``python -m stages.sync_deps`` rewrites the file, ``--check`` only says what is out of date (exit 1).
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]

# A change of these can't change a result: messages, progress, command lines, the writing of files, and the schema of
# params.yaml (which states every value in full, and a test holds it to that).
PLUMBING = {
    "bike/__init__.py",
    "bike/cli.py",
    "bike/errors.py",
    "bike/files.py",
    "bike/params.py",
    "bike/progress.py",
    "stages/__init__.py",
}


def imported_files(path: Path, root: Path = ROOT) -> set[str]:
    """Files of the project that ``path`` imports, anywhere in it, and those that they import, without itself.

    Returns:
        Paths relative to ``root``. Imports under ``if TYPE_CHECKING`` are left out: they do not run.
    """
    found: set[str] = set()
    waiting = [path]
    while waiting:
        for name in _imported_names(waiting.pop()):
            for file in _files_of(name, root):
                relative = file.relative_to(root).as_posix()
                if relative not in found and file != path:
                    found.add(relative)
                    waiting.append(file)
    return found


def _imported_names(path: Path) -> set[str]:
    names: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for body in node.body
        for inner in ast.walk(body)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in names if name.split(".")[0] in ("bike", "stages")}


def _files_of(name: str, root: Path) -> list[Path]:
    base = root.joinpath(*name.split("."))
    return [file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()]


def stage_module(command: str) -> str | None:
    """The file of the stage that a command runs (``… -m stages.extract …``), or None."""
    match = re.search(r"-m (stages\.\w+)", command)
    return match.group(1).replace(".", "/") + ".py" if match else None


def code_deps(module: str, root: Path = ROOT) -> list[str]:
    """The code that a stage's result depends on, sorted: its own file and what it imports, plumbing left out.

    Package files that hold only a docstring are left out as well.
    """
    files = {module, *imported_files(root / module, root)} - PLUMBING
    return sorted(file for file in files if not _only_docstring(root / file))


def _only_docstring(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return path.name == "__init__.py" and all(isinstance(node, ast.Expr) for node in body)


def synced(pipeline: Any, root: Path = ROOT) -> list[str]:
    """Bring the code part of every stage's ``deps`` up to date, in place.

    Returns:
        The names of the stages that changed.
    """
    changed = []
    for name, stage in pipeline["stages"].items():
        module = stage_module(stage["cmd"])
        if module is None:
            continue
        data = [dep for dep in stage.get("deps", []) if not str(dep).endswith(".py")]
        wanted = code_deps(module, root) + data
        if list(stage.get("deps", [])) != wanted:
            stage["deps"] = wanted
            changed.append(name)
    return changed


def main() -> int:
    """Entry point; see the module's docstring."""
    yaml = YAML()
    yaml.width = 200
    yaml.indent(mapping=2, sequence=4, offset=2)
    file = ROOT / "dvc.yaml"
    pipeline = yaml.load(file.read_text(encoding="utf-8"))
    changed = synced(pipeline)
    if "--check" in sys.argv:
        if changed:
            sys.stderr.write(f"dvc.yaml: code deps out of date in {', '.join(changed)}. Run `make deps`.\n")
        return 1 if changed else 0
    if changed:
        with file.open("w", encoding="utf-8") as out:
            yaml.dump(pipeline, out)
    sys.stderr.write(f"dvc.yaml: {', '.join(changed) or 'nothing'} changed.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
