"""Train the attribute branch: list and attribute corpus in, a checkpoint in the released form out. No frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from bike.attributes.corpus import read_corpus, sentences_of
from bike.errors import ParamsError
from bike.evaluate.scores import targets_of
from bike.files import sha256
from bike.formats.lists import read_listing
from bike.model.choose import agree_clip
from bike.model.contract import make_contract, origin_of
from bike.model.formats.fetch import run_weights
from bike.model.formats.read import weights_sha256
from bike.model.heads import AttributeHead
from bike.model.scorer import class_texts, encode_sentences
from bike.model.weights import load_clip, save_released
from bike.params import Optimisation, Params
from bike.runtime.checkpoint import Place, check_places
from bike.runtime.distributed import World, join_world, rank_part
from bike.train.branches import AttributeBranch, choose_trained
from bike.train.fit import Job, fit
from bike.train.optim import PublishedUpdater
from bike.train.outcome import CHANGE_NO_WEIGHT, Trained, check_trainable, tell_shared, validation_metrics
from bike.train.settings import flat_settings


def train_attributes(
    params: Params,
    *,
    train_list: Path | str,
    corpus: Path | str,
    labels: Path | str,
    out: Path | str,
    val_list: Path | str | None = None,
    place: Place = Place(),
    replace: bool = False,
) -> Trained:
    """Train the two MLPs that match sentences of attributes with class names; CLIP's text tower stays frozen.

    Args:
        params: sections ``model`` (weights, prompt), ``attributes`` (top_k, prompt) and ``train_attributes``.
        train_list, val_list: lists of samples; without ``val_list`` nothing is validated.
        corpus: attribute corpus that holds all their videos.
        labels: class names, ``id,name``.
        out: checkpoint to write, last of all.
        place: device, state and curves; without ``state_dir`` the state lies beside ``out``.
        replace: whether a finished checkpoint at ``out`` may be thrown away.

    Raises:
        BikeError: anything in the inputs that can't be used.
        KeyboardInterrupt: a stop was asked for; the state is saved.
    """
    settings, out = params.train_attributes, Path(out)
    allowed = params.model.allow_mismatch
    lists = [read_listing(path, labels, allowed=allowed) for path in (train_list, val_list) if path is not None]
    check_trainable(lists[0].samples, train_list, settings.batch_size, "train_attributes")
    if len(lists) > 1:
        tell_shared(lists[0].samples, lists[1].samples, (train_list, val_list))
    weights = run_weights(params.model.weights, "model.weights")
    params = agree_clip(params, weights, model=["prompt"], attributes=["prompt"])  # before a sentence is made of it
    phrases = read_corpus(corpus)
    sentences = [
        sentences_of(
            read.samples, phrases, top_k=params.attributes.top_k, prompt=params.attributes.prompt, source=corpus
        )
        for read in lists
    ]
    with join_world(device=place.device, threads=settings.threads) as world:
        if world.is_main:
            check_places(out, place, inputs=[train_list, val_list, corpus, labels, weights], replace=replace)
        encoder = load_clip(weights).to(world.device)
        torch.manual_seed(settings.seed)  # right before the head: what loading draws must not matter
        head = AttributeHead(encoder.embed_dim).eval().to(world.device)
        choose_trained(encoder, vision=False, text=False)
        classes = encode_sentences(encoder, class_texts(encoder, lists[0].names, params.model.prompt))
        embedded = [encode_sentences(encoder, texts) for texts in sentences]
        contract = make_contract(
            kind="attributes",
            classes=lists[0].names,
            data={**lists[0].checksums, "corpus": sha256(corpus)},
            input_size=encoder.input_size,
            prompt=params.model.prompt,
            top_k=params.attributes.top_k,
            attribute_prompt=params.attributes.prompt,
            weights=origin_of(params.model.weights, weights),
            training=settings.model_dump(exclude={"threads", "accumulate"}),
        )
        branch = AttributeBranch(encoder, head, classes, embedded[0])
        truths = torch.tensor([sample.labels[0] for sample in lists[0].samples])
        validate = None
        if val_list is not None:
            validate = _validation(branch, embedded[1], targets_of(lists[1].samples, len(lists[1].names)))
        job = Job(
            title="train attributes",
            section="train_attributes",
            epochs=settings.epochs,
            place=place,
            out=out,
            settings=flat_settings(
                kind="attributes",
                model={"prompt": params.model.prompt},
                attributes=params.attributes.model_dump(include={"prompt", "top_k"}),
                train_attributes=settings.model_dump(exclude=CHANGE_NO_WEIGHT),
                weights=weights_sha256(weights),
                corpus=sha256(corpus),
                training=lists[0].checksums,
            ),
            validate=validate,
            validate_every=settings.validate_every,
        )
        batches = _RowBatches(truths, settings, world)
        updater = PublishedUpdater(branch.parts, settings, len(batches), world.device)
        points = fit(
            branch, batches, updater, world, job, lambda: save_released(out, encoder, head, settings.epochs, contract)
        )
    return Trained(out, points if world.is_main else [])


class _RowBatches:
    """Rows of the list in an order drawn from (seed, epoch), each process taking its part of every batch."""

    def __init__(self, labels: Int64[Tensor, " N"], settings: Optimisation, world: World) -> None:
        self._labels, self._batch_size, self._seed, self._world = labels, settings.batch_size, settings.seed, world
        if self._batch_size < world.size:
            raise ParamsError(f"train_attributes.batch_size: {self._batch_size} can't be shared by {world.size}.")

    def __len__(self) -> int:
        return len(self._labels) // self._batch_size

    def epoch(self, epoch: int, first_step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The rows and labels of this process."""
        generator = np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(epoch,)))
        order = torch.from_numpy(generator.permutation(len(self._labels)))
        mine = rank_part(self._batch_size, self._world.rank, self._world.size)
        for step in range(first_step, len(self)):
            rows = order[step * self._batch_size : (step + 1) * self._batch_size][mine]
            yield rows, self._labels[rows]


def _validation(
    branch: AttributeBranch, sentences: Float[Tensor, "N D"], targets: UInt8[Tensor, "N K"]
) -> Callable[[], dict[str, float]]:
    known = targets.bool().any(1)

    @torch.no_grad()
    def validate() -> dict[str, float]:
        scores = branch.head(branch.classes, sentences).cpu()[known]  # unscaled: the scale changes no ranking
        return validation_metrics(scores, targets[known])

    return validate
