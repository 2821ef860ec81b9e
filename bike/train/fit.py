"""The one training loop: steps, curves, validation, and a state to go on from. What differs is given to it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.optim import Optimizer

from bike.errors import BikeError, one_line
from bike.progress import Progress
from bike.runtime.checkpoint import (
    STATE_NAME,
    Place,
    StopRequest,
    discard_state,
    fingerprint,
    held_state,
    load_state,
    save_state,
    state_folder,
)
from bike.runtime.distributed import World, any_of, is_same_everywhere, main_progress, wait_for_all
from bike.train.branches import Branch, trained_parameters, trained_state
from bike.train.curves import Curves, Point, latest
from bike.train.settings import different_settings
from bike.train.step import StepOptions, compute_gradients, gather_labels, is_finite

log = logging.getLogger("bike")

SAVE_EVERY_SECONDS = 600.0  # where the place names none


@runtime_checkable
class Batches(Protocol):
    """Where a branch's samples come from; a function of seed, epoch and step only."""

    def __len__(self) -> int:
        """Steps of an epoch."""

    def epoch(self, epoch: int, first_step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's inputs and labels (int64, CPU) of every step of an epoch, from ``first_step`` on."""


@runtime_checkable
class Updater(Protocol):
    """How gradients become new weights.

    Attributes:
        optimizer: of the branch's trained parameters. Its state is all there is: rates are a function of the step.
        options: how the gradients are computed.
    """

    optimizer: Optimizer
    options: StepOptions

    def set_rates(self, epoch: int, step: int) -> None:
        """Set the learning rates of a step, both numbers from 0."""

    def update(self) -> None:
        """Move the weights by the current gradients."""

    def values(self, step: int) -> dict[str, float]:
        """What a point of the curves shows beside the loss, by its full name, after ``step`` (from 1) of the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What surrounds the loop.

    Attributes:
        title: for progress.
        section: of ``params.yaml``, for advice.
        curve: first part of the loss's name in the curves.
        epochs: how often the batches are gone through.
        points: of the curves in an epoch, at most about so many.
        out: the result, which the state lies beside and is named after; None keeps no state.
        place: state and curves; its ``save_every_seconds`` counts inside an epoch, which ends with a save of its own.
        settings: everything that decides the weights, flat (:func:`flat_settings`); a state with
            others is not taken up.
        validate: gives values such as ``{"val/top1": percent}``.
        validate_every: epochs from one validation to the next; the last epoch always has one.
    """

    title: str = "train"
    section: str = "train"
    curve: str = "train"
    epochs: int = 1
    points: int = 10
    out: Path | None = None
    place: Place = Place()
    settings: Mapping[str, str] = field(default_factory=dict)
    validate: Callable[[], dict[str, float]] | None = None
    validate_every: int = 1

    def state_folder(self) -> Path | None:
        """Where the state is kept; None for nowhere."""
        if self.out is None:
            return None
        folder = state_folder(self.place, self.out)
        # Short, since people read it: 48 bits are enough for the few settings that one result is tried with.
        return folder.with_name(f"{folder.name}-{fingerprint(**self.settings)[:12]}") if self.place.apart else folder


@dataclass(slots=True)
class _Moment:
    """Where a run is: the step to do next, and the losses since the last point of the curve."""

    epoch: int = 0
    step: int = 0  # may be one past the last: a run stopped there goes on with the validation
    loss_sum: float | Tensor = 0.0  # a tensor once a loss was added, so that no step waits for the device
    loss_count: int = 0


def fit(
    branch: Branch,
    batches: Batches,
    updater: Updater,
    world: World,
    job: Job,
    write: Callable[[], object] = lambda: None,
) -> list[Point]:
    """Train ``branch`` in place, and write the result.

    A run that was killed goes on from its last state, and ends with the same weights and curves as one that was not.
    Ctrl-C and SIGTERM save the state after the current step.

    Args:
        branch: on the world's device, equal in all processes; what is frozen stays as it is.
        batches: the samples.
        updater: optimiser and learning rates.
        world: this process.
        job: epochs, state, curves, validation.
        write: called on rank 0 after the last step; the state is removed after it, so that a run which is killed
            between the two goes on from its state.

    Returns:
        The curves' points: (step from 0 over the whole run, values).

    Raises:
        BikeError: there is nothing to train on, the state is of other settings or in use, or a loss, gradient or weight
            is no longer a number; nothing is written from then on.
        KeyboardInterrupt: a stop was asked for; the state is saved.
    """
    if not len(batches):
        raise BikeError("The training list has no samples. Write the list again.")
    folder = job.state_folder()
    with held_state(folder if world.is_main else None, "training"):
        points = _Fit(branch, batches, updater, world, job, folder).run()
        if world.is_main:
            write()
            if folder is not None:
                discard_state(folder)
        wait_for_all(world)
    return points


class _Fit:
    def __init__(
        self, branch: Branch, batches: Batches, updater: Updater, world: World, job: Job, folder: Path | None
    ) -> None:
        self.branch, self.batches, self.updater, self.world, self.job = branch, batches, updater, world, job
        seconds = job.place.save_every_seconds
        self.state_path = None if folder is None else folder / STATE_NAME
        self.save_every_seconds = SAVE_EVERY_SECONDS if seconds is None else seconds
        self.now = _Moment()
        self.parameters = trained_parameters(branch)
        # A scaler expects gradients that are too large, and leaves out their step.
        self.checked = self.parameters if updater.options.scaler is None else []
        self.bad_step = torch.zeros((), dtype=torch.int64, device=world.device)
        points = self._restore()
        # With another state a process would wait forever for its peers.
        if not is_same_everywhere(world, self.now.epoch, self.now.step):
            raise BikeError(f"{folder}: some processes see another state. Put it where all machines read it.")
        self.curves = Curves(job.place.live_dir if world.is_main else None, points)
        self.saved_at = time.monotonic()

    def run(self) -> list[Point]:
        steps, epochs = len(self.batches), self.job.epochs
        todo = steps * epochs - (self.now.epoch * steps + self.now.step)
        with StopRequest() as stop, main_progress(self.world, self.job.title, todo, unit="steps") as bar:
            while self.now.epoch < epochs:
                self._train_epoch(stop, bar)
                self._end_epoch()  # before the save: a state of a new epoch holds the validation of the last
                self.now = _Moment(self.now.epoch + 1)
                self._save()
                if any_of(self.world, stop.requested):
                    stop.interrupt()
        self.curves.close()
        return self.curves.points

    def _train_epoch(self, stop: StopRequest, bar: Progress) -> None:
        now, steps = self.now, len(self.batches)
        every = max(1, steps // self.job.points)
        for inputs, labels in self.batches.epoch(now.epoch, now.step):
            self.updater.set_rates(now.epoch, now.step)
            # The wish to stop travels with the labels: all processes leave after the same step, at no extra message.
            everyone, counts, stopping = gather_labels(self.world, labels, stop.requested)
            loss = compute_gradients(self.branch, inputs, everyone, counts, self.world, self.updater.options)
            self.updater.update()
            now.loss_sum, now.loss_count = now.loss_sum + loss, now.loss_count + 1
            now.step += 1
            self._note_finite([loss, *(p.grad for p in self.checked if p.grad is not None)])
            if now.step % every == 0 or now.step == steps:
                self._add_point()
            bar.advance()
            if stopping:
                self._save()
                stop.interrupt()
            if time.monotonic() - self.saved_at > self.save_every_seconds:
                self._save()

    def _note_finite(self, values: Sequence[Tensor]) -> None:
        """Remember the first step (from 1; 0 for none) that gave NaN or infinity; a tensor, so no step waits."""
        step = self.now.epoch * len(self.batches) + self.now.step
        self.bad_step = torch.where((self.bad_step == 0) & ~is_finite(values), step, self.bad_step)

    def _check_finite(self) -> None:
        """End the run before anything is written from NaN or infinity; waits for the device."""
        epoch, step = divmod(int(self.bad_step) - 1, len(self.batches))
        if epoch < 0:
            return
        raise BikeError(
            f"The loss, a gradient or a weight is no longer a number (epoch {epoch + 1}, step {step + 1}). "
            f"The last good state stays. Lower {self.job.section}.lr, or lengthen the warm-up; --fresh starts over."
        )

    def _add_point(self) -> None:
        """Log the mean loss since the last point."""
        now, job = self.now, self.job
        self._check_finite()
        loss = float(now.loss_sum) / now.loss_count
        now.loss_sum, now.loss_count = 0.0, 0
        values = {f"{job.curve}/loss": loss, **self.updater.values(now.step)}
        self.curves.add(now.epoch * len(self.batches) + now.step - 1, values)

    def _end_epoch(self) -> None:
        """Validate where it is time, and say how things stand."""
        job, done, steps = self.job, self.now.epoch + 1, len(self.batches)
        due = done % job.validate_every == 0 or done == job.epochs
        if values := job.validate() if job.validate is not None and due else {}:
            self.curves.add(done * steps - 1, values)
        loss = latest(self.curves.points, f"{job.curve}/loss")
        validation = f", validation top-1 {values['val/top1']:.1f} %" if "val/top1" in values else ""
        log.info("epoch %d of %d: loss %.4g%s", done, job.epochs, loss, validation)

    def _save(self) -> None:
        """Write the state, on one process; all hold the same. The last one comes right before the result."""
        # Here alone, since it would make each step longer: a NaN in a weight shows in the next loss anyway.
        self._note_finite(self.parameters)
        self._check_finite()
        self.saved_at = time.monotonic()
        if self.state_path is None or not self.world.is_main:
            return
        now, scaler = self.now, self.updater.options.scaler
        state: dict[str, Any] = {
            "settings": dict(self.job.settings),
            **{name: trained_state(part) for name, part in self.branch.parts.items()},
            "optimizer": self.updater.optimizer.state_dict(),
            "scaler": {} if scaler is None else scaler.state_dict(),
            "epoch": now.epoch,
            "step": now.step,
            "loss_sum": float(now.loss_sum),
            "loss_count": now.loss_count,
            "points": self.curves.points,
        }
        save_state(self.state_path, state | {"out": self.job.place.name_of(self.job.out)})

    def _restore(self) -> list[Point]:
        """Take up a saved state of this very job; the points of its curves."""
        path = self.state_path
        state = None if path is None or self.job.place.fresh else load_state(path)
        wait_for_all(self.world)  # all have read it before one writes a newer one
        if state is None:
            return []
        if difference := different_settings(state.get("settings"), self.job.settings):
            raise BikeError(
                f"{path}: the state of a run with other settings ({difference}). Put them back to go on, or start over "
                "in its place with --fresh."
            )
        try:
            for name, part in self.branch.parts.items():
                part.load_state_dict(state[name], strict=False)  # the rest is frozen
            self.updater.optimizer.load_state_dict(state["optimizer"])
            if self.updater.options.scaler is not None:
                self.updater.options.scaler.load_state_dict(state["scaler"])
            self.now = _Moment(state["epoch"], state["step"], state["loss_sum"], state["loss_count"])
            points = [(step, values) for step, values in state["points"]]
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:  # a file of someone else's
            raise BikeError(
                f"{path}: not a state of this run ({one_line(error)[:160]}). Start over with --fresh."
            ) from error
        log.info("going on after epoch %d, step %d", self.now.epoch, self.now.step)
        return points
