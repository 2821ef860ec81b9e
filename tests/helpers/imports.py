"""Which files of the project a module needs, read from its imports without running any of them."""

from __future__ import annotations

import ast
from pathlib import Path

from helpers.places import ROOT


def imported_files(path: Path, root: Path = ROOT) -> set[str]:
    """Files of the project that ``path`` imports, anywhere in it, and those that they import, without itself.

    A package's ``__init__.py`` counts where it imports something. Imports under ``if TYPE_CHECKING`` do not run, so
    they are left out.

    Returns:
        Paths relative to ``root``.
    """
    found: set[str] = set()
    waiting = [path]
    while waiting:
        for name in imported_names(waiting.pop()):
            for file in files_of(name, root):
                relative = file.relative_to(root).as_posix()
                if relative not in found and file != path:
                    found.add(relative)
                    waiting.append(file)
    return {file for file in found if not _only_docstring(root / file)}


def imported_names(path: Path) -> set[str]:
    """Dotted names of ``bike`` and ``stages`` that a file imports: modules, and what is taken out of them."""
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


def files_of(name: str, root: Path = ROOT) -> list[Path]:
    """The files that importing a dotted name runs: the module's, and the ``__init__.py`` of the packages around it."""
    parts = name.split(".")
    packages = [root.joinpath(*parts[:end], "__init__.py") for end in range(1, len(parts) + 1)]
    return [file for file in (*packages, root.joinpath(*parts).with_suffix(".py")) if file.is_file()]


def _only_docstring(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return path.name == "__init__.py" and all(isinstance(node, ast.Expr) for node in body)
