"""What decides a stage's result besides data and parameters: code, defaults, versions; one hash file for each stage."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from bike.errors import BikeError, first_few
from bike.files import atomic_write, read_text
from bike.params import Params
from bike.provenance import VERSIONS, version_of

PACKAGE = Path(__file__).resolve().parents[1]  # the folder `bike`
CODE = Path("code")  # of a project: one file for each stage

# Stage -> sections of params.yaml that it reads. A project states only what differs from the defaults, so those count
# as code: another default is another result.
SECTIONS: dict[str, tuple[str, ...]] = {
    "extract": ("extract",),
    "annotate": ("annotate",),
    "shard": ("shard", "extract"),
    "attributes": ("attributes", "model", "numerics"),
    "train": ("model", "train", "numerics"),
    "train_attributes": ("model", "attributes", "train_attributes", "numerics"),
    "evaluate": ("model", "evaluate", "numerics"),
    "evaluate_attributes": ("model", "attributes", "evaluate", "numerics"),
    "zeroshot": ("model", "evaluate", "zeroshot", "annotate", "numerics"),
    "fuse": ("fuse", "numerics"),
    "summary": (),
}
# A change of these can't change a result: progress, command lines, the end of orphans, what makes and watches over a
# project, what is recorded of a result's origin, and the schema of params.yaml, whose defaults count by their values.
NO_RESULT = {
    "bike/__init__.py",
    "bike/cli.py",
    "bike/params.py",
    "bike/progress.py",
    "bike/project/code.py",
    "bike/project/push.py",
    "bike/project/tools.py",
    "bike/provenance.py",
    "bike/trees/overrides.py",
    "bike/trees/sections.py",
    "bike/workers/parent.py",
    "stages/__init__.py",
}


def shipped_root() -> Path:
    """The folder of ``stages/`` and ``lists/``: one inside an installed package, otherwise the checkout."""
    shipped = PACKAGE / "shipped"
    return shipped if (shipped / "stages").is_dir() else PACKAGE.parent


def write_code(folder: Path, stages: Iterable[str]) -> list[str]:
    """Write ``code/<stage>.txt`` of a project for the code that is installed here.

    Returns:
        The stages whose file is another one now: ``dvc repro`` will run them.
    """
    changed = []
    for stage in stages:
        path, text = folder / CODE / f"{stage}.txt", code_text(stage)
        if not path.is_file() or read_text(path) != text:
            changed.append(stage)
            with atomic_write(path, "w") as file:
                file.write(text)
    return changed


def check_code(stage: str, folder: Path = Path()) -> None:
    """Refuse to run a stage whose hash file is of other code: DVC would take the result for that of the old code.

    A folder without such a file (the checkout itself, whose dvc.yaml names its code) is not looked at.

    Raises:
        BikeError: the file is stale; what differs is named.
    """
    path = folder / CODE / f"{stage}.txt"
    if path.is_file() and (differs := _differences(read_text(path), code_text(stage))):
        raise BikeError(
            f"{path}: other code than what is installed ({first_few(differs, 3)}). "
            "Run `bike check --renew`, then `dvc repro`."
        )


def code_text(stage: str) -> str:
    """One line for each file that a stage imports, each section of defaults it reads, and each version that counts."""
    root = shipped_root()
    files = {f"stages/{stage}.py", *imported_files(root / "stages" / f"{stage}.py")} - NO_RESULT
    rows = [(name, hashlib.sha256(_locate(name).read_bytes()).hexdigest()[:16]) for name in sorted(files)]
    for section in SECTIONS.get(stage, ()):
        values = json.dumps(Params().model_dump(mode="json")[section], sort_keys=True)
        rows.append((f"defaults:{section}", hashlib.sha256(values.encode()).hexdigest()[:16]))
    rows += [(package, version_of(package)) for package in VERSIONS]
    return "".join(f"{name} {value}\n" for name, value in rows)


def _differences(old: str, new: str) -> list[str]:
    before, now = (dict(line.rsplit(" ", 1) for line in text.splitlines() if " " in line) for text in (old, new))
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def _locate(name: str, root: Path | None = None) -> Path:
    """The file behind ``bike/…`` or ``stages/…``; both lie in ``root`` where one is given."""
    return (root or (shipped_root() if name.startswith("stages/") else PACKAGE.parent)) / name


def imported_files(path: Path, root: Path | None = None) -> set[str]:
    """Files of the project that ``path`` imports, anywhere in it, and those that they import, without itself.

    A package's ``__init__.py`` counts where it imports something. Imports under ``if TYPE_CHECKING`` do not run, so
    they are left out. Nothing is run: imports are read. ``bike`` and ``stages`` lie in ``root``, or where they are
    installed.

    Returns:
        Names such as ``bike/files.py``.
    """
    found: set[str] = set()
    waiting = [path]
    while waiting:
        for name in imported_names(waiting.pop()):
            for file in files_of(name, root):
                if file not in found and _locate(file, root) != path:
                    found.add(file)
                    waiting.append(_locate(file, root))
    return {file for file in found if not _only_docstring(_locate(file, root))}


@cache  # stages share most of their files
def imported_names(path: Path) -> frozenset[str]:
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
    return frozenset(name for name in names if name.split(".")[0] in ("bike", "stages"))


def files_of(name: str, root: Path | None = None) -> list[str]:
    """The files that importing a dotted name runs: the module's, and the ``__init__.py`` of the packages around it."""
    parts = name.split(".")
    packages = ["/".join((*parts[:end], "__init__.py")) for end in range(1, len(parts) + 1)]
    return [file for file in (*packages, "/".join(parts) + ".py") if _locate(file, root).is_file()]


def _only_docstring(path: Path) -> bool:
    if path.name != "__init__.py":
        return False
    return all(isinstance(node, ast.Expr) for node in ast.parse(path.read_text(encoding="utf-8")).body)
