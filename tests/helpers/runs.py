"""``bike`` commands in processes of their own, each forked from one that has imported everything."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pkgutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import typer
from helpers.fit import HANGING_SECONDS, PRELOADED, Ended
from helpers.places import ROOT

import bike
from bike.cli import build_app, guarded
from bike.files.disk import FAULT
from bike.runtime.checkpoint import Place
from bike.text.tokenizer import tokenize

Run = Callable[[list[str], Path, str], Ended]


@contextmanager
def runs() -> Iterator[Run]:
    """Yields what runs a command in a folder with a fault, as ``bike`` would, and says how it ended.

    Python's start and its imports, most of the time of a small command, are spent once.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs,))
    server.start()
    theirs.close()
    try:
        yield partial(_ask, ours)
    finally:
        ours.close()
        server.join()


def _ask(server: Connection[Any, Any], words: list[str], folder: Path, fault: str) -> Ended:
    server.send((words, str(folder), fault))
    process = server.recv()
    if not server.poll(HANGING_SECONDS):
        os.kill(process, signal.SIGKILL)
        raise TimeoutError(f"{words} still runs after {HANGING_SECONDS} s, with the fault {fault}")
    return Ended(*server.recv())


def _serve(client: Connection[Any, Any]) -> None:
    for module in pkgutil.walk_packages(bike.__path__, "bike."):
        importlib.import_module(module.name)
    torch.set_num_threads(1)
    tokenize(["its vocabulary is read"])
    command = typer.main.get_command(build_app())
    context = multiprocessing.get_context("fork")
    while True:
        try:
            words, folder, fault = client.recv()
        except EOFError:
            return
        log = Path(folder).with_suffix(".log")
        process = context.Process(target=_run, args=(command, words, folder, fault, log))
        process.start()
        client.send(process.pid)
        process.join()
        client.send((process.exitcode, log.read_text()))
        log.unlink()


def _run(command: Any, words: list[str], folder: str, fault: str, log: Path) -> None:
    os.setsid()
    os.chdir(folder)
    sys.stderr.flush()
    with log.open("w") as file:
        os.dup2(file.fileno(), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    os.environ |= {FAULT: f"{fault}:{folder}/count", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    Place.__init__.__kwdefaults__["save_every_seconds"] = 0.0  # as often as it can
    sys.argv = ["bike", *words]
    sys.exit(guarded(lambda: command(standalone_mode=True)))
