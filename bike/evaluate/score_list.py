"""What every evaluation over frames does: score each video of a list once, and write the results' folder."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torch import Tensor

from bike.data.inputs import Inputs
from bike.data.map import map_samples
from bike.evaluate.results import claim_results, write_results
from bike.evaluate.scores import Scores, other_order
from bike.files import check_not_read, sweep
from bike.files.parts import Part, held_place
from bike.model.choose import VideoModel, agree, check_input_size
from bike.model.formats.read import weights_sha256
from bike.model.scorer import Scorer
from bike.params import Params, Views
from bike.runtime.checkpoint import Place, discard_state, state_folder
from bike.runtime.distributed import join_world, wait_for_all, working_type


def score_list(
    compute: Callable[[Scorer, Tensor], Tensor],
    finish: Callable[[Scorer, Tensor], tuple[Scores, dict[str, Any]]],
    params: Params,
    model: VideoModel,
    inputs: Inputs,
    *,
    trained_names: Path | str | None,
    views: Views,
    out: Path | str,
    place: Place,
    kind: str,
    start: float,
    read: Iterable[Path | str | None],
    finishing: Mapping[str, Any],
    replace: bool,
) -> dict[str, Any]:
    """Score every video of a list in ``clips × crops`` views.

    Runs in one process, or in each of those that ``torchrun`` starts: N rows come out, whatever their number. A run
    that was stopped goes on where it was.

    Args:
        compute: frames (B, V, T, 3, S, S) uint8 to one row for each of the B videos.
        finish: those rows (N, …) to scores, and to further entries of ``metrics.json``; called on rank 0.
        params: sections ``model`` (frames, sizes, prompt, which must agree with the model's contract; what was allowed
            to differ goes into ``metrics.json`` under ``mismatch``) and ``evaluate``.
        trained_names: the file of class names, where they must be those of the contract.
        kind: for progress, and to tell states apart.
        start: when the run began, on the monotonic clock.
        read: files and folders that ``out`` must not be.
        finishing: settings that ``finish`` reads (JSON); the rows don't depend on them, the result does.
        replace: whether a finished result of other settings may be thrown away.
        model, inputs, views, out, place: as the run has them.

    Returns:
        The content of ``metrics.json``; empty on ranks other than 0, and for a part.
    """
    chosen, agreement = agree(params.model, model)
    if trained_names is not None:
        agreement.check_classes(inputs.names, trained_names)
    params, settings = params.model_copy(update={"model": chosen}), params.evaluate
    size = check_input_size(params.model, model.encoder)
    state = state_folder(place, out)
    metrics: dict[str, Any] = {}
    job = {
        "kind": kind,
        "model": weights_sha256(model.file),
        "heads": [model.head.temporal, model.head.interaction],
        "prompt": params.model.prompt,
        "precision": settings.precision,
    }
    seen = {
        "num_segments": params.model.frames,
        "input_size": size,
        "short_side": params.model.short_side,
        **views.model_dump(),
    }
    with join_world(device=place.device, threads=settings.threads) as world, ExitStack() as held:
        if world.is_main and isinstance(place.split, Part):
            check_not_read([out], read)  # the rest at the merge
            held.enter_context(held_place(state, place.split, "evaluating"))
        elif world.is_main:
            used = {**job, **seen, **inputs.checksums, **finishing}
            output = held.enter_context(claim_results(out, inputs=read, settings=used, replace=replace))
            held.enter_context(held_place(state, place.split, "evaluating"))
            sweep(state)
        encoder, head = model.encoder.to(world.device), model.head.to(world.device)
        precision = working_type(settings.precision, world.device)
        scorer = Scorer(encoder, head, inputs.names, params.model.prompt, working_type=precision)
        mapped = map_samples(
            lambda frames: compute(scorer, frames),
            inputs,
            job=job,
            title=f"{kind} {views.clips}x{views.crops}",
            world=world,
            place=place,
            state=state,
            batch_size=settings.batch_size,
            **seen,
        )
        if mapped is not None:
            rows, jobs = mapped
            scores, more = finish(scorer, rows)
            extra = {name: value for name, value in views.model_dump().items() if value is not False} | more
            if wrong := other_order(scores):
                agreement.differs("classes", wrong)
            scores = dataclasses.replace(scores, mismatch={**inputs.mismatch, **agreement.mismatch})
            origin = {
                "data": inputs.checksums,
                "weights": {"file": model.file.name, "sha256": job["model"]},
                "params": {name: getattr(params, name).model_dump(mode="json") for name in ("model", "evaluate")},
                "seconds": time.monotonic() - start,
            }
            metrics = write_results(output, scores, extra=extra, origin=origin, device=str(world.device))
            discard_state(state, jobs=jobs)  # only now: a run killed before this line finds its rows again
        wait_for_all(world)  # a rank that ended early would make the launcher stop rank 0 while it writes
    return metrics
