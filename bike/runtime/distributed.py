"""One process or many: who am I, and how tensors of all processes come together.

Every process holds the same model. A step gathers what the loss needs, computes the loss of the *global* batch
everywhere, and adds up gradients, so that the number of processes changes speed and nothing else.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from bike.errors import BikeError, PeerGoneError
from bike.progress import Progress, progress
from bike.workers.parent import LAUNCHER, end_with_parent

log = logging.getLogger("bike")

_MESSAGE_BYTES = 64 * 2**20  # about so much is added up at once: few messages, and no copy of all gradients


@dataclass(frozen=True, slots=True)
class World:
    """This process among its peers.

    Attributes:
        rank: number of this process, from 0.
        size: number of processes.
        device: where this process computes.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0


def rank_part(count: int, rank: int, world_size: int) -> slice:
    """Which of ``count`` items fall to a process: neighbours, in order of rank.

    Parts differ by one item at most: 7 items among 3 processes are 0-1, 2-3 and 4-6.
    """
    return slice(count * rank // world_size, count * (rank + 1) // world_size)


@contextmanager
def join_world(*, device: str | None = None, threads: int | None = None) -> Iterator[World]:
    """Take this process's place among those that a launcher such as ``torchrun`` started, or stand alone.

    Args:
        device: ``"cpu"``, ``"cuda"`` or ``"cuda:1"``; None takes this process's own GPU where there is one.
        threads: CPU threads of this process; None keeps what it has. Results repeat exactly only for the same number.

    Yields:
        The :class:`World`. At the end, also after an error, the process group is left and the threads are as before.

    Raises:
        BikeError: a GPU was asked for that is not there, or the launcher's variables make no sense or do not say how
            its processes find each other.
    """
    rank, size, local = _place_among_peers()
    if "TORCHELASTIC_RUN_ID" in os.environ:  # a torchrun that is killed can't stop what it started
        end_with_parent(int(os.environ.get(LAUNCHER) or os.getppid()))
    chosen = _choose_device(device, local)
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    started = size > 1 and not distributed.is_initialized()
    if started:
        # Both backends on a GPU: rows and gradients travel from there, labels and flags from the CPU.
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo", rank=rank, world_size=size
        )
    world = World(rank, size, chosen)
    if not world.is_main:
        log.setLevel(logging.ERROR)  # one process logs for all
    try:
        yield world
    except RuntimeError as error:
        if size > 1 and any(words in str(error) for words in _PEER_IS_GONE):
            raise PeerGoneError("Another process of this run ended; its own message says why.") from error
        raise
    finally:
        if started:
            distributed.destroy_process_group()
        if threads is not None:
            torch.set_num_threads(before)


# How launchers tell a process its number, the number of processes, and its number on this machine. Not SLURM_NTASKS,
# which a batch script sees too, though it runs once.
_LAUNCHERS = {
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    "mpirun": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    "mpiexec": ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
    "srun": ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
}
# gloo raises plain RuntimeErrors: only their text tells a lost peer from a bug.
_PEER_IS_GONE = ("Connection closed by peer", "Connection reset by peer", "Socket closed", "Broken pipe")


def _place_among_peers() -> tuple[int, int, int]:
    """Rank, number of processes and rank on this machine, from the variables of the first launcher that set any."""
    for launcher, names in _LAUNCHERS.items():
        if names[0] in os.environ or (launcher == "torchrun" and names[1] in os.environ):
            break
    else:
        return 0, 1, 0
    try:
        rank, size, local = (int(os.environ.get(name, default)) for name, default in zip(names, "010", strict=True))
        if not 0 <= rank < size:
            raise ValueError(f"process {rank} of {size}")
    except ValueError as error:
        raise BikeError(f"{', '.join(names)}: whole numbers are needed ({error}). Use torchrun.") from None
    if size > 1 and not {"MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        raise BikeError(
            f"{launcher} started {size} processes that can't find each other: set MASTER_ADDR and MASTER_PORT to a "
            "machine and a free port of it, or use torchrun."
        )
    return rank, size, local


def _choose_device(name: str | None, local_rank: int) -> torch.device:
    if name is None:
        if not torch.cuda.is_available():
            return torch.device("cpu")
        name = f"cuda:{local_rank % torch.cuda.device_count()}"  # more processes than GPUs share them
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BikeError(f"--device: unknown device (got {name!r}); cpu, cuda or cuda:N is allowed.") from None
    if device.type not in ("cpu", "cuda"):
        raise BikeError(f"--device: not supported (got {name!r}); cpu, cuda or cuda:N is allowed.")
    if device.type == "cuda":
        if not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count():
            raise BikeError(f"--device: no such GPU here (got {name!r}). Use cpu, or leave the option out.")
        device = torch.device("cuda", local_rank if device.index is None else device.index)
        torch.cuda.set_device(device)
    return device


def gather_rows(world: World, rows: Tensor, counts: Sequence[int]) -> Tensor:
    """Rows of all processes, one below the other in order of rank, on every process. No gradient flows.

    Args:
        world: this process.
        rows: this process's rows, (counts[rank], …); may be none.
        counts: number of rows of each process, in order of rank.

    Returns:
        (sum of counts, …) on the device of ``rows``.
    """
    rows = rows.detach()
    if world.size == 1:
        return rows
    longest = max(counts)
    padded = rows.contiguous()
    if len(rows) < longest:  # all_gather needs the same shape from every process
        padded = torch.cat([padded, padded.new_zeros(longest - len(rows), *rows.shape[1:])])
    parts = [torch.empty_like(padded) for _ in range(world.size)]
    distributed.all_gather(parts, padded)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def collect_rows(world: World, rows: Tensor | None, dtype: torch.dtype = torch.float32) -> Tensor | None:
    """Rows of all processes on rank 0, in order of rank; other processes get their own rows back.

    Unlike :func:`gather_rows` this needs no counts, and peers don't keep rows that are not theirs.

    Args:
        world: this process.
        rows: this process's rows, on the CPU; None or no rows where it had nothing to do.
        dtype: of the rows.

    Returns:
        None where no process has a row.
    """
    if world.size == 1:
        return rows
    # Line r: the shape of rank r's rows, padded with -1. Others leave it at -1, so the maximum is what r wrote.
    shape = torch.full((world.size, 9), -1, dtype=torch.int64)
    if rows is not None:
        shape[world.rank, : rows.ndim] = torch.tensor(rows.shape)
    distributed.all_reduce(shape, distributed.ReduceOp.MAX)
    counts = [max(0, int(count)) for count in shape[:, 0]]
    if not any(counts):
        return None
    owner = shape[counts.index(max(counts))]  # a process without rows learns here how wide a row is
    padded = torch.zeros([int(side) for side in owner if side >= 0], dtype=dtype)
    if rows is not None:
        padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in range(world.size)] if world.is_main else None
    distributed.gather(padded, parts)
    return rows if parts is None else torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def any_of(world: World, flag: bool) -> bool:
    """Whether ``flag`` is set in any process."""
    if world.size == 1:
        return flag
    votes = torch.tensor(int(flag))
    distributed.all_reduce(votes, distributed.ReduceOp.MAX)
    return bool(votes)


def is_same_everywhere(world: World, *numbers: int) -> bool:
    """Whether all processes came here with the same whole numbers."""
    mine = torch.tensor([numbers], dtype=torch.int64)
    every = gather_rows(world, mine, [1] * world.size)
    return bool((every == mine).all())


def wait_for_all(world: World) -> None:
    """Return when every process has come here."""
    any_of(world, False)


def sum_gradients(world: World, parameters: Iterable[Tensor]) -> None:
    """Replace each gradient by its sum over all processes, in few large messages.

    Args:
        world: this process.
        parameters: the same ones in the same order everywhere; all of them are meant to be trained.
    """
    if world.size == 1:
        return
    bucket: list[Tensor] = []
    size = 0
    for parameter in parameters:
        if parameter.grad is None:  # a process without samples in this step still has to take part
            parameter.grad = torch.zeros_like(parameter)
        if bucket and (parameter.grad.dtype != bucket[0].dtype or size > _MESSAGE_BYTES):
            _sum_in_place(bucket)
            bucket, size = [], 0
        bucket.append(parameter.grad)
        size += parameter.grad.nbytes
    if bucket:
        _sum_in_place(bucket)


def _sum_in_place(tensors: Sequence[Tensor]) -> None:
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    distributed.all_reduce(flat)
    for tensor, part in zip(tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


@contextmanager
def main_progress(world: World, title: str, total: int, *, unit: str) -> Iterator[Progress]:
    """:func:`bike.progress.progress` on rank 0; other processes count in silence."""
    if world.is_main:
        with progress(title, total, unit=unit) as bar:
            yield bar
    else:
        yield Progress(title, total, unit, math.inf)


def working_type(precision: str, device: torch.device) -> torch.dtype | None:
    """The type that matrix products run in under ``autocast``; None for plain fp32.

    Args:
        precision: ``auto`` (bf16 on GPUs that have it, fp16 on older ones, fp32 on a CPU: without special units bf16 is
            far slower there), ``fp32``, ``bf16`` or ``fp16``.
        device: where the work is done.

    Raises:
        BikeError: fp16 on a CPU.
    """
    if precision == "auto":
        if device.type != "cuda":
            return None
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if precision == "fp16" and device.type == "cpu":
        raise BikeError("precision: fp16 needs a GPU (got cpu); auto, fp32 and bf16 work here. Use auto.")
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
