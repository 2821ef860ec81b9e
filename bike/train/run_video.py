"""Train the video branch: list and shards in, a checkpoint in the released form out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from bike.data.inputs import Inputs, read_inputs
from bike.data.loader import training_batches
from bike.errors import BikeError, ParamsError, one_line
from bike.model.choose import agree, check_input_size, check_same_clip, choose_model, load_video_model
from bike.model.contract import Contract, Origin, make_contract, origin_of
from bike.model.formats.fetch import run_weights
from bike.model.formats.read import weights_sha256
from bike.model.scorer import class_texts, text_ids
from bike.model.weights import save_released
from bike.params import Model, Params, Train
from bike.runtime.checkpoint import Place, check_places
from bike.runtime.distributed import World, join_world
from bike.train.branches import VideoBranch, choose_trained
from bike.train.fit import Job, fit
from bike.train.optim import PublishedUpdater
from bike.train.outcome import CHANGE_NO_WEIGHT, Trained, check_trainable, tell_shared
from bike.train.rehearse import rehearse
from bike.train.settings import flat_settings
from bike.train.validation import Validation

log = logging.getLogger("bike")


def train_video(
    params: Params,
    *,
    train_list: Path | str,
    train_frames: Path | str,
    labels: Path | str,
    out: Path | str,
    val_list: Path | str | None = None,
    val_frames: Path | str | None = None,
    temporal: str | None = None,
    interaction: str | None = None,
    decoder: str = "pyav",
    place: Place = Place(),
    replace: bool = False,
    dry_run: bool = False,
) -> Trained:
    """Fine-tune CLIP with a video head.

    Runs in one process, or in each of those that ``torchrun`` starts; the result is the same up to rounding.

    Args:
        params: sections ``model`` and ``train``. With ``model.start_from``, what ``model`` states must be true of that
            checkpoint, too, unless ``model.allow_mismatch`` names it; its classes are free.
        train_list, val_list: lists of samples; without ``val_list`` nothing is validated.
        train_frames, val_frames: their shards, frame packs or frame folders.
        labels: class names, ``id,name``.
        out: checkpoint to write, last of all.
        temporal, interaction: in place of those in ``params.model``.
        decoder: ``pyav`` or ``decord``, where frames are decoded from videos.
        place: device, state, curves and so on; without ``state_dir`` the state lies beside ``out``.
        replace: whether a finished checkpoint at ``out`` may be thrown away.
        dry_run: do a step or two, and write nothing; where ``out`` lies is not looked at.

    Raises:
        BikeError: anything in the inputs that can't be used.
        KeyboardInterrupt: a stop was asked for; the state is saved.
    """
    model = choose_model(params.model, temporal=temporal, interaction=interaction)
    settings, out = params.train, Path(out)
    reading: dict[str, Any] = {"decoder": decoder, "follow_links": place.follow_links, "allowed": model.allow_mismatch}
    training = read_inputs(train_list, labels, train_frames, **reading)
    check_trainable(training.samples, train_list, settings.batch_size)
    validation = None
    if val_list is not None:
        if val_frames is None:
            raise BikeError("Validation: a list is given, but not where its frames are. Give both or none.")
        validation = read_inputs(val_list, labels, val_frames, **reading)
        tell_shared(training.samples, validation.samples, (train_list, val_list))
    weights = run_weights(
        model.start_from or model.weights, "model.start_from" if model.start_from else "model.weights"
    )
    with join_world(device=place.device, threads=settings.threads) as world:
        if world.is_main and not dry_run:
            read = [train_list, val_list, train_frames, val_frames, labels, model.start_from, weights]
            check_places(out, place, inputs=read, replace=replace)
        branch, size, model, contract = _build_branch(model, settings, weights, training, world)
        batches = _Clips(training, model, settings, size, world, place.workers)
        validate = None
        if validation is not None:
            validate = Validation(
                branch, validation, model=model, settings=settings, world=world, workers=place.workers
            )
        job = Job(
            title=f"train {model.temporal}+{model.interaction}",
            epochs=settings.epochs,
            place=place,
            out=out,
            settings=flat_settings(
                kind="video",
                # Weights count by their checksum, wherever they lie.
                model=model.model_dump(exclude={"weights", "start_from", "allow_mismatch"}),
                train=settings.model_dump(exclude=CHANGE_NO_WEIGHT),
                weights=weights_sha256(weights),
                training=training.checksums,
            ),
            validate=validate,
            validate_every=settings.validate_every,
        )
        updater = PublishedUpdater(branch.parts, settings, len(batches), world.device)
        try:
            if dry_run:
                step = rehearse(branch, batches, updater, world)
                return Trained(out, [], step if world.is_main else None)
            points = fit(
                branch,
                batches,
                updater,
                world,
                job,
                lambda: save_released(out, branch.encoder, branch.head, settings.epochs, contract),
            )
        except RuntimeError as error:
            if not (settings.compile and type(error).__module__.startswith(("torch._dynamo", "torch._inductor"))):
                raise
            raise BikeError(
                f"train.compile: the encoder can't be compiled here ({one_line(error)[:160]}). Set it to false, or "
                "install a C++ compiler and Python's headers."
            ) from error
        finally:
            batches.close()
    return Trained(out, points if world.is_main else [])


def _build_branch(
    model: Model, settings: Train, weights: Path, training: Inputs, world: World
) -> tuple[VideoBranch, int, Model, Contract]:
    """The branch, the side of its pictures, the section ``model`` as agreed with ``start_from``, and the contract."""
    # A head that the params leave out is that of the checkpoint, as everything else is.
    stated = {
        name: getattr(model, name)
        for name in ("temporal", "interaction")
        if not model.start_from or name in model.model_fields_set
    }
    loaded = load_video_model(model.start_from, weights, seed=settings.seed, **stated)
    model = choose_model(model, temporal=loaded.head.temporal, interaction=loaded.head.interaction)
    model, agreement = agree(model, loaded)
    encoder, head, origin = loaded.encoder, loaded.head, origin_of(model.start_from or model.weights, weights)
    clip: Origin | None = origin
    if model.start_from:
        check_same_clip(model, loaded, agreement)
        clip = None if loaded.contract is None else loaded.contract.weights
    size = check_input_size(model, encoder)
    if settings.batch_size < world.size:
        raise ParamsError(f"train.batch_size: {settings.batch_size} can't be shared by {world.size} processes.")
    choose_trained(encoder, vision=True, text=not settings.fix_text)
    encoder.set_checkpointing(settings.checkpointing)
    encoder, head = encoder.to(world.device), head.to(world.device)
    if settings.compile:
        encoder.visual.compile()  # in place: a module that torch.compile wraps has other names in checkpoints
    contract = make_contract(
        kind="video",
        classes=training.names,
        data=training.checksums,
        input_size=size,
        weights=clip,
        start_from=origin if model.start_from else None,
        training=settings.model_dump(exclude={"threads", "accumulate"}),
        **model.model_dump(include={"prompt", "frames", "short_side", "temporal", "interaction"}),
    )
    ids = text_ids(encoder, class_texts(encoder, training.names, model.prompt))
    return VideoBranch(encoder, head, ids, train_text=not settings.fix_text), size, model, contract


class _Clips:
    """The loader as :func:`bike.train.fit.fit` takes it: of each batch the clips (B, T, 3, S, S) and their labels."""

    def __init__(self, inputs: Inputs, model: Model, settings: Train, size: int, world: World, workers: int) -> None:
        self._loader = training_batches(
            inputs.samples,
            inputs.source,
            num_segments=model.frames,
            batch_size=settings.batch_size,
            input_size=size,
            short_side=model.short_side,
            sampling=settings,
            seed=settings.seed,
            rank=world.rank,
            world_size=world.size,
            workers=workers,
            pin_memory=world.device.type == "cuda",
        )
        self.close = self._loader.close

    def __len__(self) -> int:
        return len(self._loader)

    def epoch(self, epoch: int, first_step: int) -> Iterator[tuple[Tensor, Tensor]]:
        return ((batch.frames[:, 0], batch.labels) for batch in self._loader.epoch(epoch, first_step))
