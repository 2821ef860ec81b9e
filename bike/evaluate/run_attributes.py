"""Evaluation of the attribute branch: list and attribute corpus in, metrics and scores out. No frames."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import torch

from bike.attributes.corpus import read_corpus, sentences_of
from bike.errors import BikeError
from bike.evaluate.results import claim_results, write_results
from bike.evaluate.scores import other_order
from bike.evaluate.views import score_views
from bike.files import existing_file, sha256
from bike.formats.lists import read_listing
from bike.model.choose import check_weights
from bike.model.contract import Agreement
from bike.model.heads import AttributeHead
from bike.model.scorer import class_texts, encode_sentences
from bike.model.weights import load_with_contract
from bike.params import Params
from bike.progress import log
from bike.runtime.checkpoint import Place
from bike.runtime.distributed import join_world


def evaluate_attributes(
    params: Params,
    *,
    checkpoint: Path | str,
    samples: Path | str,
    corpus: Path | str,
    labels: Path | str,
    out: Path | str,
    place: Place = Place(),
    replace: bool = False,
) -> dict[str, Any]:
    """Score every video of a list by its attributes and write the results' folder.

    Args:
        params: sections ``model`` (prompt, allow_mismatch), ``attributes`` (top_k, prompt) and ``evaluate`` (threads);
            what the file states must be the checkpoint's, as must the class names.
        checkpoint: an attribute branch in the released form.
        samples: list of samples.
        corpus: attribute corpus that holds all their videos.
        labels: class names, ``id,name``.
        out: folder to write.
        place: its device is used; there is nothing to load or to resume.
        replace: whether a finished result of other settings may be thrown away.

    Returns:
        The content of ``metrics.json``; empty on ranks other than 0.

    Raises:
        BikeError: anything in the inputs that can't be used.
    """
    start, allowed = time.monotonic(), params.model.allow_mismatch
    inputs = read_listing(samples, labels, allowed=allowed)
    encoder, head, _, contract = load_with_contract(existing_file(checkpoint))
    if not isinstance(head, AttributeHead):
        raise BikeError(f"{checkpoint}: holds a video branch. Leave --attributes out and name the frames.")
    agreement, model, settings = Agreement(contract, checkpoint, allowed), params.model, params.attributes
    if contract is not None:
        model = agreement.settle(model, "model", {"prompt": contract.prompt})
        theirs = {"top_k": contract.top_k, "prompt": contract.attribute_prompt}
        settings = agreement.settle(settings, "attributes", theirs)
    check_weights(agreement, model, Path(checkpoint))
    agreement.check_classes(inputs.names, labels)
    sentences = sentences_of(
        inputs.samples, read_corpus(corpus), top_k=settings.top_k, prompt=settings.prompt, source=corpus
    )
    used = {
        "checkpoint": sha256(checkpoint),
        "top_k": settings.top_k,
        "prompts": [settings.prompt, model.prompt],
        **inputs.checksums,
        "corpus": sha256(corpus),
    }
    if contract is not None and contract.data.get("corpus") != used["corpus"]:
        log.warning(
            "%s: not the corpus that %s was trained with. Nothing in it tells which lexicon, weights and prompt it was "
            "made with; they must be the same.",
            corpus,
            checkpoint,
        )
    with join_world(device=place.device, threads=params.evaluate.threads) as world, torch.no_grad():
        if not world.is_main:  # seconds of work, which one process does alone
            return {}
        encoder, head = encoder.to(world.device), head.to(world.device)
        classes = encode_sentences(encoder, class_texts(encoder, inputs.names, model.prompt))
        logits = head(classes, encode_sentences(encoder, sentences)).cpu()
    scores = score_views(inputs.samples, inputs.names, logits[:, None], branch="attributes")
    if wrong := other_order(scores):
        agreement.differs("classes", wrong)
    scores = dataclasses.replace(scores, mismatch={**inputs.mismatch, **agreement.mismatch})
    origin = {
        "data": {**inputs.checksums, "attributes": sha256(corpus)},
        "weights": {"file": Path(checkpoint).name, "sha256": used["checkpoint"]},
        "params": {name: getattr(params, name).model_dump(mode="json") for name in ("model", "attributes")},
        "seconds": time.monotonic() - start,
    }
    with claim_results(out, inputs=[checkpoint, samples, corpus, labels], settings=used, replace=replace) as output:
        return write_results(output, scores, origin=origin, device=str(world.device))
