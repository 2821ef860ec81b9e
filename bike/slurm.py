"""Stages on a SLURM cluster: a job array with a part for each task, or one job of several machines under torchrun."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from bike.errors import BikeError, first_few
from bike.files import atomic_write, ensure_dir, remove, sweep_file

MOST_TASKS = 1000  # of an array; SLURM's own limit is 1001 where nobody changed it, and numbers stay below it
_BIKE = ("-m", "bike.cli")

# $1: what to add to the task's number, as the parts from 1001 on are in arrays of their own.
_PART = """\
#!/bin/sh
part=$((SLURM_ARRAY_TASK_ID + $1))
{command} --part "$part/{parts}" && touch {folder}/"$part.done"
"""
_MERGE = """\
#!/bin/sh
exec {command} --merge
"""
# The batch script runs on the first machine, so its name is where all meet.
_NODES = """\
#!/bin/sh
exec srun {python} -m torch.distributed.run --nnodes {nodes} --nproc-per-node {processes} --rdzv-backend c10d \\
    --rdzv-id "$SLURM_JOB_ID" --rdzv-endpoint "$(hostname):$((29000 + SLURM_JOB_ID % 1000))" {command}
"""


def run_parts(words: Sequence[str], folder: Path, *, parts: int, retry: bool, options: Sequence[str]) -> None:
    """Run a command in parts as a job array, wait for its end, and merge the parts in one more job.

    Args:
        words: of the command after ``bike``.
        folder: for the scripts, the logs, and a file for each part that ended well.
        parts: tasks of the array; those above :data:`MOST_TASKS` go into arrays of their own.
        retry: run only the parts that did not end well.
        options: more arguments of ``sbatch``.

    Raises:
        BikeError: there is no ``sbatch``, or it refused; parts failed (they are named); the merge failed.
    """
    _find_sbatch()
    done = {number for number in range(1, parts + 1) if (ensure_dir(folder) / f"{number}.done").is_file()}
    if not retry:
        for number in done:
            remove(folder / f"{number}.done")
        done = set()
    command = shlex.join([sys.executable, *_BIKE, *words])
    script = _write(folder / "part.sh", _PART, command=command, parts=parts, folder=shlex.quote(str(folder)))
    arrays = []
    for start in range(0, parts, MOST_TASKS):
        tasks = [
            number - start for number in range(start + 1, min(start + MOST_TASKS, parts) + 1) if number not in done
        ]
        if tasks:
            arrays.append([f"--array={_numbers(tasks)}", f"--output={folder}/%A_%a.log", str(script), str(start)])
    _submit([[*options, *array] for array in arrays])
    left = [str(number) for number in range(1, parts + 1) if not (folder / f"{number}.done").is_file()]
    if left:
        raise BikeError(
            f"{folder}: {len(left)} of {parts} parts did not end well: {first_few(left)}. "
            "Look at the logs there, and give --retry to run only these."
        )
    script = _write(folder / "merge.sh", _MERGE, command=command)
    if any(_submit([[*options, f"--output={folder}/merge.log", str(script)]])):
        raise BikeError(f"{folder}: all parts are there, but the merge failed. Look at {folder / 'merge.log'}.")


def run_nodes(words: Sequence[str], folder: Path, *, nodes: int, processes: str, options: Sequence[str]) -> None:
    """Run a command as one world of processes on several machines, and wait for its end.

    Args:
        words, folder, options: as for :func:`run_parts`.
        nodes: machines.
        processes: on each; a number, or ``auto``: one for each GPU, without one for each core.

    Raises:
        BikeError: there is no ``sbatch``, or the job failed.
    """
    _find_sbatch()
    python, command = shlex.quote(sys.executable), shlex.join([*_BIKE, *words])
    path = ensure_dir(folder) / "nodes.sh"
    script = _write(path, _NODES, python=python, nodes=nodes, processes=shlex.quote(processes), command=command)
    place = [f"--nodes={nodes}", "--ntasks-per-node=1", f"--output={folder}/%j.log"]
    if any(_submit([[*place, *options, str(script)]])):
        raise BikeError(f"{folder}: the job failed. Look at its log there; the same command goes on where it was.")


def _find_sbatch() -> None:
    if shutil.which("sbatch") is None:
        raise BikeError("sbatch: not found. Run this where jobs are submitted, or see docs/clusters.md for others.")


def _write(path: Path, template: str, **values: object) -> Path:
    sweep_file(path)
    with atomic_write(path, "w") as file:
        file.write(template.format(**values))
    return path


def _numbers(tasks: Sequence[int]) -> str:
    """Task numbers as ``sbatch`` takes them."""
    whole = len(tasks) > 1 and list(range(tasks[0], tasks[-1] + 1)) == list(tasks)
    return f"{tasks[0]}-{tasks[-1]}" if whole else ",".join(map(str, tasks))


def _submit(jobs: Iterable[Sequence[str]]) -> list[int]:
    """Submit jobs side by side and wait for all; returns their exit statuses."""
    running = [subprocess.Popen(["sbatch", "--wait", *words]) for words in jobs]
    return [process.wait() for process in running]
