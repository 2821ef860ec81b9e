"""Tiny models for the tests of training, and worlds of several processes."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from bike.cli import guarded
from bike.errors import DataError
from bike.model.encoders import Encoder, build
from bike.model.heads import AttributeHead, VideoHead
from bike.model.layers.architecture import Architecture
from bike.runtime.checkpoint import StopRequest
from bike.runtime.distributed import (
    World,
    any_of,
    collect_rows,
    gather_rows,
    is_same_everywhere,
    join_world,
    rank_part,
    wait_for_all,
)
from bike.train.branches import AttributeBranch, VideoBranch, choose_trained, trained_parameters
from bike.train.loss import contrastive_loss
from bike.train.step import StepOptions, compute_gradients

TINY = Architecture(
    embed_dim=16, input_size=16, vision_layers=1, vision_width=64, patch_size=8, text_width=64, text_layers=1
)
SMALL_VOCABULARY = 512
NUM_CLASSES = 5
ALONE = World(0, 1, torch.device("cpu"))


def tiny_encoder(seed: int = 0, *, vocab_size: int = 49408, text_scale: float = 1.0) -> Encoder:
    """A CLIP of random weights, 16 px, width 16; ``text_scale`` makes texts differ more than untrained ones do."""
    torch.manual_seed(seed)
    encoder = build(replace(TINY, vocab_size=vocab_size)).eval()
    with torch.no_grad():
        encoder.token_embedding.weight.mul_(text_scale)
    return encoder


def tiny_video_branch(temporal: str = "transf", interaction: str = "vcs", *, train_text: bool = False) -> VideoBranch:
    """A video branch of random weights for :data:`NUM_CLASSES` classes."""
    encoder = tiny_encoder(vocab_size=SMALL_VOCABULARY)
    head = VideoHead(16, 2, temporal, interaction, num_layers=1).eval()
    choose_trained(encoder, vision=True, text=train_text)
    ids = torch.zeros(NUM_CLASSES, 77, dtype=torch.int64)
    ids[:, 0], ids[:, 2] = SMALL_VOCABULARY - 2, SMALL_VOCABULARY - 1
    ids[:, 1] = torch.arange(100, 100 + NUM_CLASSES)
    return VideoBranch(encoder, head, ids, train_text=train_text)


def tiny_attribute_branch(samples: int) -> AttributeBranch:
    """An attribute branch of random weights, with random sentences."""
    encoder = tiny_encoder(vocab_size=SMALL_VOCABULARY)
    head = AttributeHead(16).eval()
    choose_trained(encoder, vision=False, text=False)
    generator = torch.Generator().manual_seed(1)
    classes, sentences = (torch.randn(rows, 16, generator=generator) for rows in (NUM_CLASSES, samples))
    return AttributeBranch(encoder, head, classes, sentences)


def batch_of(rows: int, kind: str) -> tuple[Tensor, Tensor]:
    """A batch of random clips (or of row numbers for the attribute branch) and labels."""
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(NUM_CLASSES, (rows,), generator=generator)
    if kind == "attributes":
        return torch.arange(rows), labels
    return torch.randint(256, (rows, 3, 3, 16, 16), generator=generator, dtype=torch.uint8), labels


def gradients_of(kind: str, rows: int, world: World, options: StepOptions) -> dict[str, Tensor]:
    """Loss and gradients of one step, in a world of any size."""
    train_text = kind == "text"
    branch = tiny_attribute_branch(rows) if kind == "attributes" else tiny_video_branch(train_text=train_text)
    inputs, labels = batch_of(rows, kind)
    counts = [len(labels[rank_part(rows, rank, world.size)]) for rank in range(world.size)]
    mine = rank_part(rows, world.rank, world.size)
    labels = gather_rows(world, labels[mine], counts)
    loss = compute_gradients(branch, inputs[mine], labels, counts, world, options)
    found = {str(number): p.grad for number, p in enumerate(trained_parameters(branch)) if p.grad is not None}
    return {"loss": loss, **found}


class StopsAfter(StopRequest):
    """Stands for a signal: the training loop asks once in each step, and once at the end of an epoch.

    Args:
        number: which question is answered with yes, from 1.
    """

    def __init__(self, number: int) -> None:
        self._left = number
        super().__init__()

    @property
    def requested(self) -> bool:
        self._left -= 1
        return self._left <= 0

    @requested.setter
    def requested(self, _: bool) -> None:
        return None


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit status (negative: the signal that killed it) and what it wrote to stderr."""

    status: int
    errors: str


HANGING_SECONDS = 600  # a run takes seconds; on the busiest machine only a hang takes this long
# What a new process would spend its first seconds on.
PRELOADED = ["bike.train.run_attributes", "bike.evaluate.run_video", "dvclive.live", "torch._dynamo", "pytest"]
PRELOADED += ["pandas", "filelock", "dvc.repo", "matplotlib.backends.backend_svg"]


def run_processes(
    count: int, target: Callable[..., int], *args: str, names: Mapping[str, str] | None = None
) -> list[Ended]:
    """Call ``target`` in ``count`` processes of one world; ``names`` are another launcher's for ``RANK`` and so on.

    They are real processes, but forked from a server that has torch imported already: that saves two seconds each.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        logs = [Path(folder) / str(rank) for rank in range(count)]
        processes = []
        for rank, log in enumerate(logs):
            world = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port}
            environment = {
                "MASTER_ADDR": "127.0.0.1",
                **{(names or {}).get(name, name): str(value) for name, value in world.items()},
            }
            processes.append(context.Process(target=_call, args=(target, args, environment, str(log))))
            processes[-1].start()
        try:
            for process in processes:
                process.join(HANGING_SECONDS)
                if process.is_alive():
                    raise TimeoutError(f"{target.__name__}{args} still runs after {HANGING_SECONDS} s")
        finally:
            for process in processes:
                process.kill()
                process.join()
        return [Ended(p.exitcode or 0, log.read_text()) for p, log in zip(processes, logs, strict=True)]


def _call(target: Callable[..., int], args: tuple[str, ...], environment: dict[str, str], log: str) -> None:
    """In the new process: a world of its own, and stderr to a file."""
    os.environ.update(environment)
    with open(log, "w") as file:  # noqa: PTH123
        os.dup2(file.fileno(), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    torch.set_num_threads(1)
    sys.exit(target(*args))


def meet(folder: str) -> int:
    """Things that need company: agreeing, and losing a peer. What happened goes to a file for each rank."""

    def together() -> None:
        with join_world(device="cpu") as world:
            found = [
                any_of(world, world.rank == 1),
                any_of(world, False),
                is_same_everywhere(world, 3, 4),
                is_same_everywhere(world, 3, world.rank),
                logging.getLogger("bike").isEnabledFor(logging.INFO),
            ]
            rows = collect_rows(world, torch.full((2, 3), world.rank) if world.rank else None, torch.int64)
            (Path(folder) / f"{world.rank}.json").write_text(
                json.dumps([*found, rows.tolist() if rows is not None else 0])
            )
            if world.rank == 1:
                raise DataError("here is why.")
            wait_for_all(world)

    return guarded(together)


def save_gradients(folder: str) -> int:
    """Save the gradients of every kind of step, as each rank of a world sees them."""
    with join_world(device="cpu") as world:
        found = {}
        for number, (kind, rows, options) in enumerate(CASES):
            for name, value in gradients_of(kind, rows, world, options).items():
                found[f"{number}.{name}"] = value
        save_file(found, f"{folder}/world{world.size}-rank{world.rank}.safetensors")
    return 0


CASES = [
    ("video", 7, StepOptions()),
    ("video", 7, StepOptions(parts=3)),
    ("video", 2, StepOptions()),  # in a world of three one process has no sample
    ("video", 6, StepOptions(partial(contrastive_loss, kind="ds"))),
    ("text", 5, StepOptions()),
    ("attributes", 7, StepOptions()),
]
