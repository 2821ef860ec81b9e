"""A function over every sample of a list: once each whatever the number of processes, resumable, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bike.data.inputs import Inputs
from bike.data.loader import evaluation_batches
from bike.data.order import batch_keys
from bike.errors import BikeError
from bike.files.parts import MERGE, Part, Parts
from bike.progress import log
from bike.runtime.checkpoint import Place, StopRequest, fingerprint
from bike.runtime.distributed import World, collect_rows, is_same_everywhere, main_progress
from bike.runtime.rows import PartialRows


def row_jobs(inputs: Inputs, batch_size: int, *, job: dict[str, Any], **views: Any) -> tuple[str, str]:
    """Fingerprints of the rows of :func:`map_samples`, which has the same arguments: of one run, and of parts."""
    whole = {"job": job, "views": views, "inputs": inputs.checksums}
    return fingerprint(**whole), fingerprint(**whole, batch_size=batch_size)  # which decides what rows a part has


def map_samples(
    compute: Callable[[Tensor], Tensor],
    inputs: Inputs,
    *,
    job: dict[str, Any],
    title: str,
    world: World,
    place: Place,
    state: Path,
    batch_size: int,
    **views: Any,
) -> tuple[Tensor, set[str]] | None:
    """Apply ``compute`` to the views of all samples of a list.

    Args:
        compute: frames (B, V, T, 3, S, S) uint8 to one row of a fixed shape for each of the B samples.
        inputs: the list and its frames.
        job: what decides the rows beside ``inputs`` and ``views``.
        title: for progress.
        world: this process.
        place: loader processes, seconds between saves (None: 60), and which part of the samples is done.
        state: folder of rows finished by an earlier run; takes the new ones. Those of a part stay there for the merge.
        batch_size: samples at a time, at least 1.
        **views: of :func:`bike.data.loader.evaluation_batches`: ``num_segments``, ``input_size``, ``clips`` and so on.

    Returns:
        Rows (N, …) on the CPU in the order of ``samples``, and the fingerprints of this job's saved rows, for
        :func:`bike.runtime.checkpoint.discard_state`; None on ranks other than 0, and for a part.

    Raises:
        BikeError: rows are missing from a merge.
        DataError: a sample can't be read.
        KeyboardInterrupt: a stop was asked for; finished rows are kept.
    """
    seconds = 60.0 if place.save_every_seconds is None else place.save_every_seconds
    split, samples = place.split, inputs.samples
    alone, in_parts = row_jobs(inputs, batch_size, job=job, **views)
    same = alone if split is None else in_parts
    folder = split.folder(state) if isinstance(split, Part) else state
    partial = PartialRows(folder, same, rank=world.rank, every_seconds=seconds)
    if split == MERGE:
        before = [rows for part in Parts(state).folders() for rows in PartialRows(part, same).load()]
    else:
        before = partial.load()
    done = {item for index, _ in before for item in index.tolist()}
    # Asking also makes sure that all have read the files before one writes another.
    if not is_same_everywhere(world, len(done), sum(done)):
        raise BikeError(f"{title}: processes see different saved states. Put --state where all machines read it.")
    left = [row for row in range(len(samples)) if row not in done]
    if split is not None:
        keys = batch_keys(samples, inputs.source, batch_size)
        if isinstance(split, Part):
            left = [row for row in left if split.has(keys[row])]
        else:
            Parts(state).check(keys[row] for row in left)
    todo = torch.tensor(left, dtype=torch.int64)
    batches = evaluation_batches(
        [samples[row] for row in left],
        inputs.source,
        rank=world.rank,
        world_size=world.size,
        batch_size=batch_size,
        workers=place.workers,
        pin_memory=world.device.type == "cuda",
        **views,
    )
    mine: list[tuple[Tensor, Tensor]] = []
    with StopRequest() as stop, main_progress(world, title, len(todo), unit="videos") as bar:
        try:
            for batch in batches:
                rows = compute(batch.frames).cpu()
                mine.append((todo[batch.index], rows))
                partial.add(*mine[-1])
                bar.advance(len(batch) * world.size)  # the others are about as far
                if stop.requested:
                    stop.interrupt()
        except BaseException:  # also Ctrl-C: what is done needn't be done again
            partial.save()
            raise
        finally:
            batches.close()
    if isinstance(split, Part):
        partial.save()
        if world.is_main:
            log.info("%s: part %d of %d is done", title, split.number, split.count)
        return None
    index = collect_rows(world, torch.cat([part for part, _ in mine]) if mine else None, torch.int64)
    found = collect_rows(world, torch.cat([part for _, part in mine]) if mine else None)
    if not world.is_main:
        return None
    parts = [*before, *([(index, found)] if index is not None and found is not None else [])]
    return _in_order(parts, len(samples)), {alone, in_parts}


def _in_order(parts: Sequence[tuple[Tensor, Tensor]], count: int) -> Tensor:
    """Sort rows by their numbers, of which each must be there once."""
    index, rows = (torch.cat(pieces) for pieces in zip(*parts, strict=True))
    order = index.argsort()
    if not torch.equal(index[order], torch.arange(count)):
        raise RuntimeError(f"{len(index)} rows came back for {count} samples")
    return rows[order]
