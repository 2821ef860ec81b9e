"""Names on a command line: what the shell completes, and what a folder in the place of a list is told."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

MaybePath = TypeVar("MaybePath", Path, Path | None)


def preset_names() -> list[str]:
    """Rows of the zoo, for the shell to complete."""
    from bike.zoo import load_zoo

    return list(load_zoo())


def weight_names() -> list[str]:
    """Official names, for the shell to complete."""
    from bike.model.formats.official import OFFICIAL_FILES

    return list(OFFICIAL_FILES)


def view_names() -> list[str]:
    """Protocols of ``evaluate.views``, for the shell to complete: those of the params.yaml here, if it can be read."""
    from contextlib import suppress

    from bike.errors import BikeError
    from bike.params import Params, load_params

    with suppress(BikeError):
        return list(load_params("params.yaml").evaluate.views)
    return list(Params().evaluate.views)


def one_list(path: MaybePath) -> MaybePath:
    """A list that was named; in the place of a folder, which lists lie in it is said.

    Raises:
        ParamsError: it is a folder.
    """
    if path is None or not path.is_dir():
        return path
    from bike.errors import ParamsError, first_few, one_line

    lists = sorted(one_line(file.name) for file in path.glob("*.csv") if file.name not in ("labels.csv", "audit.csv"))
    inside = f" There are {first_few(lists, 5)} in it." if lists else ""
    raise ParamsError(f"{path}: is a folder; one list is needed, such as {path / 'test.csv'}.{inside}")
