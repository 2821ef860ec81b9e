"""Pipeline stages: one file each, a few explicit lines that call one library function with paths and params.

Paths come from ``dvc.yaml`` (the command line), numbers from ``params.yaml``, and what decides no result, such as the
number of processes, from this machine (:class:`bike.params.Machine`).
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import os
import re
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Container
from pathlib import Path, PurePath
from typing import Any

from bike.cli import SAID, guarded
from bike.errors import BikeError, ParamsError, one_line
from bike.params import Machine, Params, load_machine, load_params, read_tree
from bike.project.code import check_code
from bike.trees.sections import stated_by
from bike.workers.beside import share_out
from bike.workers.parent import LAUNCHER, end_with_parent
from bike.workers.pool import num_cores

log = logging.getLogger("bike")

PINS = Path("constraints-results.txt")
_LAUNCHED = "BIKE_LAUNCHED"  # set in what `launch` starts


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


def named(place: Path, **names: str | None) -> Path:
    """``place`` with each ``{key}`` replaced by its name: one command line then has a place for each of several things.

    Example:
        ``named(Path("results/{heads}/{views}"), heads="none-dp", views="4x3")`` is ``results/none-dp/4x3``.
    """
    text = str(place)
    for key, name in names.items():
        text = text.replace(f"{{{key}}}", name or "")
    if unknown := re.search(r"\{\w+\}", text):
        raise ParamsError(f"{place}: {unknown[0]} is no name that is put in here; {', '.join(names)} is. Correct it.")
    return Path(text)


def several(names: str, place: str, *paths: Path) -> list[str]:
    """The names that an option gives, with blanks between them.

    Raises:
        ParamsError: they are several, and a path has no ``place`` (such as ``{views}``) to hold them apart.
    """
    found = names.split()
    for path in paths:
        if len(found) > 1 and place not in str(path):
            raise ParamsError(f"{path}: no {place} in it, and {len(found)} would be written there ({names}). Add it.")
    return found


def params(arguments: argparse.Namespace) -> Params:
    """The validated params file of this run."""
    return load_params(arguments.params)


def machine() -> Machine:
    """What this machine decides, from ``machine.yaml`` and ``BIKE_…`` variables."""
    return load_machine()


def check_is_dep(key: str, file: str | None, *, official: Container[str] = ()) -> None:
    """Refuse a file that ``key`` of params.yaml names unless it lies under ``deps`` of the stage that DVC runs.

    The key may be empty, and DVC knows no dep that may be empty, so dvc.yaml can't name the file by ``${key}``. Without
    a dep DVC would miss a change of the file, and the old numbers would stand for a new experiment.

    Args:
        key: such as ``attributes.weights``.
        file: its value.
        official: names that may stand for a file; what they name has one checksum.

    Raises:
        ParamsError: it does not.
    """
    # Without DVC (a stage run by hand) nothing is recorded, so nothing can go stale.
    stage = os.environ.get("DVC_STAGE", "").rpartition(":")[2].partition("@")[0]  # such as train@none-dp
    if not file or not stage or file in official:
        return
    tree = read_tree("dvc.yaml")
    known = read_tree("params.yaml") if Path("params.yaml").is_file() else {}
    for words in tree.get("vars", []):
        known |= words if isinstance(words, dict) else {}
    deps = [_expanded(str(dep), known) for dep in tree["stages"].get(stage, {}).get("deps", [])]
    if not any(PurePath(os.path.relpath(file)).is_relative_to(os.path.relpath(dep)) for dep in deps):
        raise ParamsError(
            f"{key}: DVC would not notice a change of {file}, which is not under deps of stage {stage}. Add it there "
            "in dvc.yaml, or leave the key empty."
        )


def _expanded(dep: str, known: dict[str, Any]) -> str:
    """A dep with the values of its ``${…}``; those that are not known (of a matrix) stay."""

    def value(found: re.Match[str]) -> str:
        inner: Any = known
        for word in found[1].split("."):
            inner = inner.get(word) if isinstance(inner, dict) else None
        return found[0] if inner is None else str(inner)

    return re.sub(r"\$\{\s*([\w.]+)\s*\}", value, dep)


def run(main: Callable[[], object], *, each: str = "", place: str = "") -> None:
    """Run a stage's ``main``; users' errors become one line and exit status 1.

    Args:
        main: reads its arguments from the command line.
        each: an option that may name several things, with blanks between them. Each then gets a process of its own
            with this command line and only its name, several at a time (:mod:`bike.workers.beside`).
        place: what its arguments have where the name goes.
    """
    _end_with_dvc()
    sys.exit(guarded(lambda: None if share_out(each, machine().jobs or num_cores(), place) else _run(main)))


def run_launched(main: Callable[[], object], *, each: str = "", place: str = "") -> None:
    """As :func:`run`, under ``launch`` of this machine (``torchrun …``) where it is not python itself.

    The launcher takes this process's place and starts the stage again in each of its own, so that ``cmd`` in dvc.yaml,
    which DVC compares, is the same for every launcher. A launcher has the machine to itself: what ``each`` names is
    then done one after the other.
    """
    _end_with_dvc()

    def start() -> None:
        host = machine()
        at_once = (host.jobs or num_cores()) if host.launch in ("", "python") else 1
        if not share_out(each, at_once, place):
            _launch(main)

    sys.exit(guarded(start))


def _end_with_dvc() -> None:
    """A DVC that is killed can't stop its stage, which would write on under the hands of the next run (Linux only).

    A stage that somebody started by hand may outlive the shell. The launcher of :func:`run_launched` keeps this.
    """
    if "DVC_STAGE" in os.environ:
        end_with_parent(os.getppid())


def _launch(main: Callable[[], object]) -> None:
    launch = machine().launch
    try:
        words = shlex.split(launch)
    except ValueError as error:
        raise ParamsError(f"launch: not a command ({error}; got {launch!r}). Correct {stated_by('launch')}.") from error
    # RANK is the launcher's: this is one of the processes that it started. The other variable is our own, since a
    # launcher that sets no RANK would be started again and again.
    if words in ([], ["python"]) or "RANK" in os.environ or _LAUNCHED in os.environ:
        _run(main)
        return
    os.environ[_LAUNCHED] = "1"
    stage = Path(sys.argv[0]).stem
    if words[0] == "torchrun":
        _torchrun([*words[1:], "-m", "bike.project.stage", stage, *sys.argv[1:]])
        return
    try:
        os.execvp(words[0], [*words, "-m", "bike.project.stage", stage, *sys.argv[1:]])  # noqa: S606 (the user's own launcher)
    except (OSError, ValueError) as error:  # ValueError: a NUL in it
        raise BikeError(
            f"launch: {words[0]!r} can't be started ({one_line(error)}). Correct {stated_by('launch')}."
        ) from error


def _torchrun(words: list[str]) -> None:
    """Be ``torchrun`` ourselves: as a program it puts a page of traceback below the line that a process ended with.

    Raises:
        SystemExit: with the status of the process that failed first.
        KeyboardInterrupt: it was stopped by Ctrl-C or SIGTERM.
        BikeError: the kernel, or somebody, killed a process.
    """
    from torch.distributed import run as torchrun

    os.environ[LAUNCHER] = str(os.getpid())  # before its processes look for it, it may be gone
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    for name in list(logging.root.manager.loggerDict):
        if name.startswith("torch.distributed"):  # each has a level of its own
            logging.getLogger(name).setLevel(logging.CRITICAL)
    terminate = signal.getsignal(signal.SIGTERM)
    with tempfile.TemporaryDirectory(prefix="bike-") as folder:
        os.environ[SAID] = folder
        try:
            torchrun.run(torchrun.parse_args(words))  # type: ignore[no-untyped-call]
            return
        except ChildFailedError as error:
            killed = [-failure.exitcode for failure in error.failures.values() if failure.exitcode < 0]
            status = error.get_first_failure()[1].exitcode
        except SignalException as error:
            killed, status = [], 128 + error.sigval
        finally:
            del os.environ[SAID]
        if any(Path(folder).iterdir()):  # one of the processes gave the reason
            sys.exit(max(1, status))
    if killed:
        raise BikeError(f"launch: a process was killed (signal {killed[0]}), perhaps out of memory.")
    if status == 128 + signal.SIGTERM and callable(terminate):
        terminate(signal.SIGTERM, None)
    if status in (128 + signal.SIGTERM, 128 + signal.SIGINT):
        raise KeyboardInterrupt
    sys.exit(status)


def _run(main: Callable[[], object]) -> None:
    check_code(Path(sys.argv[0]).stem)
    for problem in other_versions(PINS):
        log.warning("%s", problem)
    main()


def other_versions(pins: Path) -> list[str]:
    """One line for each package that is not installed as pinned: dvc.lock would vouch for versions that did not run.

    Args:
        pins: lines ``name==version``; a file that is not there pins nothing.
    """
    lines = pins.read_text(encoding="utf-8").splitlines() if pins.is_file() else []
    found = []
    for name, _, version in (line.partition("==") for line in lines if "==" in line and not line.startswith("#")):
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed = "none"
        if installed.partition("+")[0] != version:  # 2.13.0+cpu is the pinned torch 2.13.0
            found.append(f"{name}: {installed} is installed, {pins} pins {version}. Results may differ from dvc.lock.")
    return found
