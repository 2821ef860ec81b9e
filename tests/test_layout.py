"""The rules that keep the repository readable: import direction, file length, what stages depend on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from ruamel.yaml import YAML

from bike.params import Params, load_params
from stages.sync_deps import PLUMBING, code_deps, imported_files, stage_module, synced

# A module imports only from the rows above its own. A trailing * covers the files a module was split into.
ROWS = [
    "errors",
    "files progress params records",
    "distributed checkpoint",
    "data.decode* data.packs*",
    "data.temporal",
    "data.spatial",
    "data.annotations*",
    "data.extract*",
    "data.shards* data.remote*",
    "data.sources* data.loader*",
    "text.*",
    "model.encoders*",
    "model.heads*",
    "model.weights* model.count",
    "attributes*",
    "evaluate.*",
    "train.*",
    "demo.*",
    "predict*",
    "report*",
    "bench* doctor zoo*",
    "commands.*",
    "cli",
]


def row_of(module: str) -> int:
    """The row of ``bike.…`` module names, the one that names it most closely."""
    short = module.removeprefix("bike.")
    matches = [
        (len(pattern), index)
        for index, row in enumerate(ROWS)
        for pattern in row.split()
        if short == pattern.removesuffix("*").removesuffix(".")
        or (pattern.endswith("*") and short.startswith(pattern[:-1]))
    ]
    assert matches, f"{module} has no row: add it to ROWS where it belongs"
    return max(matches)[1]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = sorted(p for p in (ROOT / "bike").rglob("*.py") if p.name != "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_point_upwards(path: Path) -> None:
    own = row_of(module_name(path))
    from stages.sync_deps import _files_of, _imported_names

    for name in _imported_names(path):
        for file in _files_of(name, ROOT):
            if file.name == "__init__.py" or not name.startswith("bike"):
                continue
            other = row_of(module_name(file))
            assert other <= own, f"{module_name(path)} imports {module_name(file)}, which stands below it"


def test_a_stage_and_a_command_do_not_call_each_other() -> None:
    for path in (ROOT / "stages").glob("*.py"):
        assert (
            not [file for file in imported_files(path) if file.startswith("bike/commands/")]
            or path.name == "__init__.py"
        )


@pytest.mark.parametrize(
    "path", MODULES + sorted((ROOT / "stages").glob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def pipeline() -> dict[str, dict[str, object]]:
    return YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))


def test_stage_deps_cover_the_modules_they_import() -> None:
    assert synced(pipeline()) == [], "run `make deps`"


@pytest.mark.parametrize("name", list(pipeline()["stages"]))
def test_each_stage_runs_a_module_that_exists(name: str) -> None:
    module = stage_module(str(pipeline()["stages"][name]["cmd"]))
    assert module is not None
    assert (ROOT / module).is_file()


@pytest.mark.parametrize("name", list(pipeline()["stages"]))
def test_each_stage_declares_the_params_it_reads(name: str) -> None:
    """Every ``params`` entry of dvc.yaml is in the schema, and covers each section that the stage's file names."""
    stage = pipeline()["stages"][name]
    declared = [str(entry) for entry in stage.get("params", [])]
    for entry in declared:
        section, _, key = entry.partition(".")
        assert section in Params.model_fields, entry
        if key:
            assert key in type(getattr(Params(), section)).model_fields, entry
    source = (ROOT / str(stage_module(str(stage["cmd"])))).read_text(encoding="utf-8")
    for section in Params.model_fields:
        if f"settings.{section}" in source:
            assert any(entry.split(".")[0] == section for entry in declared), f"{section} is read, not declared"


def test_params_yaml_states_every_value() -> None:
    """The schema's defaults can then change without a hidden change of any pinned result."""
    tree = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name in Params.model_fields:
        assert name in tree, name
        if hasattr(type(getattr(Params(), name)), "model_fields"):
            missing = set(type(getattr(Params(), name)).model_fields) - set(tree[name])
            assert not missing, f"{name}: {missing}"
    load_params(ROOT / "params.yaml")


def test_plumbing_exists() -> None:
    assert [name for name in PLUMBING if not (ROOT / name).is_file()] == []


def test_code_deps_follow_imports_through_modules(tmp_path: Path) -> None:
    for name, text in {
        "stages/one.py": "from bike.a import f\n",
        "bike/a.py": "def f():\n    from bike import b\n    return b\n",
        "bike/b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import bike.c\n",
        "bike/c.py": "",
        "bike/__init__.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert code_deps("stages/one.py", tmp_path) == ["bike/a.py", "bike/b.py", "stages/one.py"]


def test_sync_deps_check_passes_as_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stages.sync_deps", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
