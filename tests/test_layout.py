"""The rules that keep the repository readable: import direction, file length, what stages depend on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from helpers.places import ROOT
from ruamel.yaml import YAML

from bike.params import Params, load_params
from bike.project.code import NO_RESULT, files_of, imported_files, imported_names
from bike.trees.sections import Section

# A room imports only from itself and the rows above its own; rooms of one row leave each other alone.
ROWS = [
    "errors",
    "progress",
    "files",
    "workers text trees",
    "records params provenance runtime video",
    "formats demo",
    "extract annotate frames",
    "shard data",
    "model dataset",
    "attributes",
    "evaluate",
    "train report predict",
    "pretrain bench doctor zoo slurm",
    "project share",
    "commands",
    "cli",
    "__main__",
]


def room_of(path: Path) -> str:
    """``video`` of ``bike/video/stream.py``, ``zoo`` of ``bike/zoo.py``."""
    return path.relative_to(ROOT / "bike").with_suffix("").parts[0]


def row_of(room: str) -> int:
    found = [index for index, row in enumerate(ROWS) if room in row.split()]
    assert found, f"{room} has no row: add it to ROWS where it belongs"
    return found[0]


MODULES = sorted(p for p in (ROOT / "bike").rglob("*.py") if p != ROOT / "bike" / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_upwards(path: Path) -> None:
    own = room_of(path)
    for name in imported_names(path):
        for file in (ROOT / file for file in files_of(name, ROOT)):
            if file.parent in (ROOT / "bike", ROOT / "stages") and file.name == "__init__.py":
                continue
            other = room_of(file)
            assert other == own or row_of(other) < row_of(own), f"{path.name} imports {name} from a room below it"


def test_no_import_goes_in_a_circle() -> None:
    """Module by module, also inside a room."""
    # Its own room's __init__ ran before a module did: a room may hand on names of its files.
    graph = {
        path: {ROOT / file for name in imported_names(path) for file in files_of(name, ROOT)}
        - {path, path.parent / "__init__.py"}
        for path in MODULES
    }
    while leaves := [path for path, needs in graph.items() if not needs & graph.keys()]:
        for path in leaves:
            del graph[path]
    assert sorted(str(path.relative_to(ROOT)) for path in graph) == []


def test_a_stage_and_a_command_do_not_call_each_other() -> None:
    for path in (ROOT / "stages").glob("*.py"):
        assert not [file for file in imported_files(path, ROOT) if file.startswith("bike/commands/")]
    for path in (ROOT / "bike").rglob("*.py"):
        assert not [name for name in imported_names(path) if name.startswith("stages")]


@pytest.mark.parametrize(
    "path", MODULES + sorted((ROOT / "stages").glob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_no_test_imports_another() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(from|import) (test_|tests\b|conftest)", text, re.MULTILINE), path


STAGES: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))[
    "stages"
]


def stage_file(name: str) -> Path:
    """The file of the stage that ``python -m stages.…`` runs."""
    found = re.search(r"-m (stages\.\w+)", STAGES[name]["cmd"])
    assert found, name
    return ROOT / (found[1].replace(".", "/") + ".py")


def covers(dep: str, file: str) -> bool:
    return file == dep or file.startswith(f"{dep}/")


@pytest.mark.parametrize("name", list(STAGES))
def test_every_module_that_a_stage_imports_lies_under_one_of_its_deps(name: str) -> None:
    """DVC does not follow imports."""
    path = stage_file(name)
    needed = {path.relative_to(ROOT).as_posix(), *imported_files(path, ROOT)} - NO_RESULT
    deps = [dep for dep in STAGES[name]["deps"] if dep.startswith(("bike/", "stages/"))]
    assert len(deps) == len(set(deps)), "named twice"
    assert "constraints-results.txt" in STAGES[name]["deps"]
    assert sorted(file for file in needed if not any(covers(dep, file) for dep in deps)) == []
    assert [dep for dep in deps if not any(covers(dep, file) for file in needed)] == [], "idle"


def test_what_decides_no_result_exists() -> None:
    assert [name for name in NO_RESULT if not (ROOT / name).is_file()] == []


def test_params_yaml_states_every_value() -> None:
    """The schema's defaults can then change without a hidden change of any pinned result."""
    tree = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert set(tree) == set(Params.model_fields)
    for name, section in Params():
        if isinstance(section, Section):
            assert set(tree[name]) == set(type(section).model_fields), name


def test_the_schema_changes_no_value() -> None:
    """So that its code need not be a dep of every stage: what a stage gets is what params.yaml says."""
    tree = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert load_params(ROOT / "params.yaml").model_dump(mode="json") == tree


def test_imports_are_followed_through_modules_and_packages(tmp_path: Path) -> None:
    for name, text in {
        "stages/one.py": "from bike.a import f\n",
        "bike/a.py": "def f():\n    from bike import b\n    return b\n",
        "bike/b.py": "from typing import TYPE_CHECKING\nimport bike.room.d\nif TYPE_CHECKING:\n    import bike.c\n",
        "bike/c.py": "",
        "bike/room/__init__.py": '"""A room."""\nfrom bike.room.e import x\n',
        "bike/room/d.py": "",
        "bike/room/e.py": "x = 1\n",
        "bike/__init__.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = imported_files(tmp_path / "stages/one.py", tmp_path)
    assert found == {"bike/a.py", "bike/b.py", "bike/room/__init__.py", "bike/room/d.py", "bike/room/e.py"}
