"""What other processes of the tests run: training that can be told to die on the way."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch

from bike.cli import guarded
from bike.evaluate.run_video import evaluate_video
from bike.files.parts import parse_part
from bike.frames import open as sources
from bike.params import Views, load_params
from bike.runtime.checkpoint import Place
from bike.train.run_attributes import train_attributes
from bike.train.run_video import train_video


class Countdown:
    """Calls a function; the n-th time the process gets a signal first."""

    def __init__(self, function: Any, count: int, number: int, *, half: bool = False) -> None:
        self.function, self.count, self.number, self.half = function, count, number, half

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.count -= 1
        if self.count == 0:
            if self.half:
                args[1].write(b"half of a file")
                args[1].flush()
            os.kill(os.getpid(), self.number)
        return self.function(*args, **options)


def train(kind: str, root: str, name: str, die_at: str = "0", number: str = "SIGKILL", where: str = "read") -> int:
    """Train on the data set below ``root`` as ``bike train`` does, and maybe die on the way.

    Args:
        kind: ``video`` or ``attributes``.
        root: of the data set.
        name: writes ``name.pt``, with its state in ``name.state`` and its curves in ``name.live``.
        die_at: on the how-manieth event the process sends itself a signal; 0 for never.
        number: the signal.
        where: the event: a video is read, or a state (or the checkpoint) is half written.

    Returns:
        The exit status.
    """
    chosen = getattr(signal, number)
    if where == "read":
        read = Countdown(sources.PackSource.read, int(die_at), chosen)
        sources.PackSource.read = lambda *args, **options: read(*args, **options)  # type: ignore[method-assign]
    else:
        torch.save = Countdown(torch.save, int(die_at), chosen, half=True)
    folder = Path(root)
    params = load_params(folder / "params.yaml")
    options: dict[str, Any] = {
        "train_list": folder / "train.csv",
        "val_list": folder / "val.csv",
        "labels": folder / "labels.csv",
        "out": folder / f"{name}.pt",
        "place": Place(
            device="cpu",
            workers=0,
            state_dir=folder / f"{name}.state",
            live_dir=folder / f"{name}.live",
            save_every_seconds=0.0,
        ),
    }
    frames = folder / "frames"
    if kind == "video":
        return guarded(lambda: train_video(params, train_frames=frames, val_frames=frames, **options))
    return guarded(lambda: train_attributes(params, corpus=folder / "attributes.json", **options))


def evaluate(root: str, name: str, die_at: str = "0", number: str = "SIGKILL", part: str = "1/1") -> int:
    """Evaluate ``model.pt`` on the training list in 2 x 3 views into the folder ``name``, and maybe die on the way.

    Args:
        root, name, die_at, number: as for :func:`train`.
        part: other than ``1/1``: does a part only.

    Returns:
        The exit status.
    """
    read = Countdown(sources.PackSource.read, int(die_at), getattr(signal, number))
    sources.PackSource.read = lambda *args, **options: read(*args, **options)  # type: ignore[method-assign]
    folder = Path(root)
    return guarded(
        lambda: evaluate_video(
            load_params(folder / "params.yaml"),
            checkpoint=folder / "model.pt",
            samples=folder / "train.csv",
            frames=folder / "frames",
            labels=folder / "labels.csv",
            out=folder / name,
            views=Views(clips=2, crops=3),
            place=Place(
                device="cpu",
                workers=0,
                save_every_seconds=0.0,
                split=None if part == "1/1" else parse_part(part, {}),
            ),
        )
    )
