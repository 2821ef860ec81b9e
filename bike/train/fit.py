"""The training loop of both branches: steps, learning rates, curves, validation, and a state to go on from."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.amp import GradScaler

from bike.checkpoint import StopRequest, discard_state, load_state, save_state
from bike.distributed import (
    World,
    any_of,
    gather_rows,
    is_same_everywhere,
    main_progress,
    wait_for_all,
    working_type,
)
from bike.errors import BikeError
from bike.params import Optimisation
from bike.progress import Progress
from bike.train.branches import Branch, trained_state
from bike.train.curves import Curves, Point
from bike.train.optim import build_optimizer, set_learning_rates
from bike.train.step import StepOptions, compute_gradients

log = logging.getLogger("bike")

STATE_NAME = "state.pt"
POINTS_PER_EPOCH = 10


@runtime_checkable
class Batches(Protocol):
    """Where a branch's samples come from; a function of seed, epoch and step only."""

    def __len__(self) -> int:
        """Steps of an epoch."""

    def epoch(self, epoch: int, first_step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's inputs and labels (int64, CPU) of every step of an epoch, from ``first_step`` on."""


@dataclass(frozen=True, slots=True)
class Job:
    """What surrounds the loop.

    Attributes:
        title: for progress.
        state_dir: folder of the state to go on from; None keeps none.
        live_dir: folder of the curves; None writes none.
        fingerprint: of everything that decides the result; a state with another one is left aside.
        validate: gives values such as ``{"val/top1": percent}``.
        save_every_seconds: between saves inside an epoch.
    """

    title: str = "train"
    state_dir: Path | None = None
    live_dir: Path | None = None
    fingerprint: str = ""
    validate: Callable[[], dict[str, float]] | None = None
    save_every_seconds: float = 600.0


@dataclass(slots=True)
class _Place:
    """Where a run is: the step to do next, and the losses since the last point of the curve."""

    epoch: int = 0
    step: int = 0
    loss_sum: float | Tensor = 0.0
    loss_count: int = 0


def fit(branch: Branch, batches: Batches, settings: Optimisation, world: World, job: Job) -> list[Point]:
    """Optimisation ``branch`` in place.

    A run that was killed goes on from its last state, and ends with the same weights and curves as one that was not.
    Ctrl-C and SIGTERM save the state after the current step.

    Args:
        branch: on the world's device, equal in all processes; what is frozen stays as it is.
        batches: the samples.
        settings: learning rate, epochs and so on.
        world: this process.
        job: state, curves, validation.

    Returns:
        The curves' points: (step from 0 over the whole run, values).

    Raises:
        BikeError: there is nothing to train on, or the loss is no longer a number.
        KeyboardInterrupt: a stop was asked for; the state is saved.
    """
    if not len(batches):
        raise BikeError("The training list has no samples. Write the list anew.")
    return _Fit(branch, batches, settings, world, job).run()


class _Fit:
    def __init__(self, branch: Branch, batches: Batches, settings: Optimisation, world: World, job: Job) -> None:
        self.branch, self.batches, self.settings, self.world, self.job = branch, batches, settings, world, job
        self.optimizer = build_optimizer(
            branch.encoder,
            branch.head,
            lr=settings.lr,
            clip_ratio=settings.clip_ratio,
            weight_decay=settings.weight_decay,
        )
        dtype = working_type(settings.precision, world.device)
        self.options = StepOptions(settings.loss, settings.accumulate, dtype)
        self.scaler = GradScaler(world.device.type) if dtype == torch.float16 else None
        self.place = _Place()
        points = self._restore()
        if not is_same_everywhere(world, self.place.epoch, self.place.step):
            raise BikeError(f"{job.state_dir}: some processes see another state. Put it where all machines read it.")
        self.curves = Curves(job.live_dir if world.is_main else None, points)
        self.saved_at = time.monotonic()

    def run(self) -> list[Point]:
        steps, epochs = len(self.batches), self.settings.epochs
        todo = steps * epochs - (self.place.epoch * steps + self.place.step)
        with StopRequest() as stop, main_progress(self.world, self.job.title, todo, unit="steps") as bar:
            while self.place.epoch < epochs:
                self._train_epoch(stop, bar)
                values = self._validate()
                if values:
                    self.curves.add(self.place.epoch * steps + steps - 1, values)
                self._tell_epoch()
                self.place = _Place(self.place.epoch + 1)
                self._save()
                if any_of(self.world, stop.requested):
                    raise KeyboardInterrupt
        self.curves.close()
        return self.curves.points

    def _train_epoch(self, stop: StopRequest, bar: Progress) -> None:
        place, steps = self.place, len(self.batches)
        every = max(1, steps // POINTS_PER_EPOCH)
        for inputs, labels in self.batches.epoch(place.epoch, place.step):
            rates = set_learning_rates(
                self.optimizer,
                epoch=place.epoch,
                step=place.step,
                steps_per_epoch=steps,
                epochs=self.settings.epochs,
                warmup_epochs=self.settings.warmup_epochs,
                every_steps=self.settings.lr_every_steps,
            )
            everyone, counts, stopping = _gather_labels(self.world, labels, stop.requested)
            loss = compute_gradients(self.branch, inputs, everyone, counts, self.world, self.options, self.scaler)
            self._update()
            place.loss_sum, place.loss_count = place.loss_sum + loss, place.loss_count + 1
            place.step += 1
            if place.step % every == 0 or place.step == steps:
                self._add_point(rates)
            bar.advance()
            if stopping:
                self._save()
                raise KeyboardInterrupt
            if time.monotonic() - self.saved_at > self.job.save_every_seconds:
                self._save()

    def _update(self) -> None:
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()

    def _add_point(self, rates: dict[str, float]) -> None:
        """Log the mean loss since the last point: the only moment that waits for the device."""
        place = self.place
        loss = float(place.loss_sum) / place.loss_count
        place.loss_sum, place.loss_count = 0.0, 0
        if not math.isfinite(loss):
            raise BikeError(
                f"The loss is no longer a number (epoch {place.epoch + 1}, step {place.step}). "
                "Lower train.lr or train.clip_ratio, or lengthen train.warmup_epochs."
            )
        values = {"train/loss": loss, **{f"train/lr_{name}": rate for name, rate in rates.items()}}
        self.curves.add(place.epoch * len(self.batches) + place.step - 1, values)

    def _validate(self) -> dict[str, float]:
        done = self.place.epoch + 1
        due = done % self.settings.validate_every == 0 or done == self.settings.epochs
        return self.job.validate() if self.job.validate is not None and due else {}

    def _tell_epoch(self) -> None:
        loss, top1 = self.curves.latest("train/loss"), self.curves.latest("val/top1")
        validation = "" if top1 is None else f", validation top-1 {top1:.1f} %"
        log.info("epoch %d of %d: loss %.4g%s", self.place.epoch + 1, self.settings.epochs, loss, validation)

    def _save(self) -> None:
        """Write the state, on one process; all hold the same."""
        self.saved_at = time.monotonic()
        if self.job.state_dir is None or not self.world.is_main:
            return
        place = self.place
        state: dict[str, Any] = {
            "fingerprint": self.job.fingerprint,
            "encoder": trained_state(self.branch.encoder),
            "head": trained_state(self.branch.head),
            "optimizer": self.optimizer.state_dict(),
            "scaler": {} if self.scaler is None else self.scaler.state_dict(),
            "epoch": place.epoch,
            "step": place.step,
            "loss_sum": float(place.loss_sum),
            "loss_count": place.loss_count,
            "rng": torch.get_rng_state(),
            "points": self.curves.points,
        }
        save_state(self.job.state_dir / STATE_NAME, state)

    def _restore(self) -> list[Point]:
        """Take up a saved state of this very job; the points of its curves."""
        state = None if self.job.state_dir is None else load_state(self.job.state_dir / STATE_NAME)
        wait_for_all(self.world)  # all have read it before one writes a newer one
        if state is None:
            return []
        if state.get("fingerprint") != self.job.fingerprint:
            log.info("%s: belongs to other settings or data; starting anew", self.job.state_dir)
            return []
        self.branch.encoder.load_state_dict(state["encoder"], strict=False)  # the rest is frozen
        self.branch.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["rng"])
        self.place = _Place(state["epoch"], state["step"], state["loss_sum"], state["loss_count"])
        log.info("going on after epoch %d, step %d", self.place.epoch, self.place.step)
        return [(step, values) for step, values in state["points"]]


def _gather_labels(world: World, labels: Tensor, stop: bool) -> tuple[Tensor, list[int], bool]:
    """Labels of all processes, their numbers, and whether any process wants to stop."""
    if world.size == 1:
        return labels, [len(labels)], stop
    header = gather_rows(world, torch.tensor([[len(labels), int(stop)]]), [1] * world.size)
    counts = [int(count) for count in header[:, 0]]
    return gather_rows(world, labels, counts), counts, bool(header[:, 1].any())


def finish(job: Job, world: World) -> None:
    """Remove the state once the result stands in its place."""
    if job.state_dir is not None and world.is_main:
        discard_state(job.state_dir)
    wait_for_all(world)
