"""Pipeline stages: one file each, a few explicit lines that call one library function with paths and params.

Paths come from ``dvc.yaml`` (the command line), numbers from ``params.yaml``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from bike.cli import guarded
from bike.params import Params, load_params


def paths(doc: str | None, *names: str, **choices: str) -> argparse.Namespace:
    """Parse a stage's command line: positional paths ``names``, then ``--key VALUE`` for each of ``choices``.

    Args:
        doc: the stage's docstring, shown by ``--help``.
        names: positional arguments, each a path.
        choices: optional arguments as ``name="help text"``; left out they are None.
    """
    parser = argparse.ArgumentParser(description=doc)
    for name in names:
        parser.add_argument(name, type=Path)
    for name, text in choices.items():
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, help=text)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="default: params.yaml")
    return parser.parse_args()


def params(arguments: argparse.Namespace) -> Params:
    """The validated params file of this run."""
    return load_params(arguments.params)


def run(main: Callable[[], object]) -> None:
    """Run a stage's ``main``; users' errors become one line and exit status 1."""
    sys.exit(guarded(main))
