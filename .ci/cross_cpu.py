"""A small demo on this processor and on emulated ones of two makers: every output must be the same bytes.

``python .ci/cross_cpu.py [PROCESSOR …]`` needs ``qemu-x86_64`` (Debian's package qemu-user) and half an hour of two
cores; processors are QEMU's names, left out Haswell (Intel) and EPYC-Rome (AMD). QEMU emulates AVX2 and no AVX-512. It
prints a table of checksums, and exits with 1 where one differs.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
PROCESSORS = ("Haswell", "EPYC-Rome")
# Enough for every kernel of a stage to run; what is not named here is as in params.yaml, threads as well.
STILLS = {"num_images": 32, "steps": 2, "batch_size": 32, "warmup_steps": 1}
SMALL: dict[str, dict[str, Any]] = {
    "demo_data": {"train_per_class": 1, "val_per_class": 1, "test_per_class": 1},
    "extract": {"short_side": 48},
    "pretrain": STILLS,
    "pretrain_strong": STILLS,
    "model": {"frames": 4},
    "attributes": {"frames": 4},
    "train": {"epochs": 1, "batch_size": 14, "warmup_epochs": 0.5, "validate_every": 1},
    "train_attributes": {"epochs": 2, "batch_size": 14, "warmup_epochs": 0.5, "validate_every": 1},
    "evaluate": {
        "views": {"1x1": {"clips": 1, "crops": 1, "dense": False}, "4x3": {"clips": 2, "crops": 3, "dense": False}}
    },
    "report": {"clips": 2},
}
EACH = ("--heads", "--sections")  # options whose names a stage shares out among processes
TRAININGS = ("train", "train_attributes")


def demo_commands() -> list[list[str]]:
    """Every stage of the demo in turn, as the name of its module and its arguments, from dvc.yaml."""
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        commands = [shlex.split(stage.cmd)[2:] for stage in repo.index.stages if stage.cmd]
    return [words for command in commands for words in one_by_one(command)]


def one_by_one(command: list[str]) -> list[list[str]]:
    """The command once for each name that one of EACH gives, since everything runs in one process here."""
    for option in EACH:
        if option in command:
            place = command.index(option) + 1
            return [[*command[:place], name, *command[place + 1 :]] for name in command[place].split()]
    return [command]


def for_two_processes(commands: list[list[str]]) -> list[list[str]]:
    """One training of each kind, with places of its own for what it writes."""
    last = {words[0].removeprefix("stages."): words for words in commands}
    return [[re.sub("^(models|results)/", r"two/\1/", word) for word in last[name]] for name in TRAININGS]


def run_stages(commands: list[list[str]]) -> None:
    """Run stages one after the other in this process, so that torch is imported once: an emulator takes long for it."""
    for words in commands:
        start, sys.argv = time.monotonic(), list(words)
        importlib.import_module(words[0]).main()
        sys.stderr.write(f"{shlex.join(words[:4])}: {time.monotonic() - start:.0f} s\n")


def make_programs(folder: Path, processor: str | None) -> dict[str, str]:
    """Write ``bin/python`` and ``bin/ffmpeg`` below ``folder``, for this processor (None) or an emulated one.

    Python finds itself under its own name there (``-0``), so that the helpers it starts are emulated like it.

    Returns:
        The variables to start ``bin/python`` with.
    """
    import imageio_ffmpeg

    (folder / "bin").mkdir(parents=True)
    real = os.path.realpath(sys.executable)
    (folder / "pyvenv.cfg").write_text(f"home = {Path(real).parent}\n")
    for name, program in (("python", real), ("ffmpeg", imageio_ffmpeg.get_ffmpeg_exe())):
        path = folder / "bin" / name
        command = (
            f"exec -a {path} {program}"
            if processor is None
            else f"exec qemu-x86_64 -cpu {processor} -0 {path} {program}"
        )
        path.write_text(f'#!/bin/bash\n{command} "$@"\n')
        path.chmod(0o755)
    packages = sysconfig.get_paths()["purelib"]
    mine = {"PYTHONPATH": f"{ROOT}{os.pathsep}{packages}", "IMAGEIO_FFMPEG_EXE": str(folder / "bin/ffmpeg")}
    return {**os.environ, **mine, "BIKE_JOBS": "2", "BIKE_WORKERS": "0", "BIKE_DEVICE": "cpu"}


def run_pipeline(folder: Path, processor: str | None, commands: list[list[str]]) -> dict[str, str]:
    """Run every stage, then a training of each kind with two processes, in ``folder``.

    Returns:
        Output -> SHA-256 over its files.
    """
    variables = make_programs(folder / "programs", processor)
    yaml, work = YAML(), folder / "work"
    params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["numerics"] = "portable"
    for section in SMALL.keys() & params.keys():
        params[section].update(SMALL[section])
    (work / "lists").mkdir(parents=True)
    shutil.copy(ROOT / "lists/demo-lexicon.txt", work / "lists")
    with (work / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(params, file)
    finish([start(work, variables, "alone", commands)])
    for words in for_two_processes(commands):  # in processes of their own, since peers find each other once
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = str(probe.getsockname()[1])
        peers = {**variables, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        finish([start(work, {**peers, "RANK": rank, "LOCAL_RANK": rank}, words[0], [words]) for rank in "01"])
    return checksums(work)


def start(work: Path, variables: dict[str, str], what: str, commands: list[list[str]]) -> subprocess.Popen[bytes]:
    """Start this file with the programs beside ``work``; its messages go to a file there."""
    with (work.parent / f"{what}-{variables.get('RANK', '0')}.log").open("wb") as log:
        words = [work.parent / "programs/bin/python", "-W", "ignore", __file__, "--stages", *map(shlex.join, commands)]
        return subprocess.Popen(words, cwd=work, env=variables, stdout=log, stderr=log)


def finish(processes: list[subprocess.Popen[bytes]]) -> None:
    """Wait for processes to end well."""
    for process in processes:
        if process.wait() != 0:
            raise subprocess.CalledProcessError(process.returncode, process.args)


def checksums(work: Path) -> dict[str, str]:
    """Output -> SHA-256 over its files; where a result came from is no output, nor are a run's locks and states."""
    sums: dict[str, Any] = {}
    for path in sorted(path for path in work.rglob("*") if path.is_file()):
        name = path.relative_to(work)
        if name.name.endswith((".provenance.json", ".jsonl")) or name.parts[0] in ("state", "params.yaml"):
            continue  # the journal of an extraction is in the order in which its helpers were done
        output = str(name) if len(name.parts) < 3 else str(Path(*name.parts[:3]))
        found = sums.setdefault(output, hashlib.sha256())
        found.update(f"{name}\n".encode() + path.read_bytes())
    return {output: found.hexdigest() for output, found in sums.items()}


def differing(found: dict[str, dict[str, str]]) -> list[str]:
    """Outputs that are not everywhere the same, or not everywhere."""
    outputs = set().union(*found.values())
    return sorted(output for output in outputs if len({sums.get(output) for sums in found.values()}) > 1)


def table(found: dict[str, dict[str, str]]) -> str:
    """A line for each output, with the beginning of its checksum on each processor, and how many differ."""
    outputs, differ = sorted(set().union(*found.values())), differing(found)
    width = max(map(len, outputs)) + 1
    lines = ["".ljust(width) + " ".join(name.ljust(10) for name in found)]
    for output in outputs:
        sums = " ".join(sums.get(output, "absent")[:8].ljust(10) for sums in found.values())
        lines.append(f"{output.ljust(width)}{sums} {'differs' if output in differ else 'equal'}")
    lines.append(f"{len(outputs)} outputs on {len(found)} processors, {len(differ)} differ")
    return "".join(f"{line}\n" for line in lines)


def main() -> int:
    """Entry point; see the module's docstring."""
    if sys.argv[1:2] == ["--stages"]:
        run_stages([shlex.split(command) for command in sys.argv[2:]])
        return 0
    if shutil.which("qemu-x86_64") is None:
        sys.stderr.write("qemu-x86_64: not found. On Debian and Ubuntu: apt-get install qemu-user\n")
        return 1
    names, commands = ["here", *(sys.argv[1:] or PROCESSORS)], demo_commands()
    folder = Path(tempfile.mkdtemp(prefix="bike-"))

    def run(name: str) -> dict[str, str]:
        began = time.monotonic()
        found = run_pipeline(folder / name, None if name == "here" else name, commands)
        sys.stderr.write(f"{name}: {time.monotonic() - began:.0f} s\n")
        return found

    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = dict(zip(names, pool.map(run, names), strict=True))
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"{error}. Its messages are in {folder}.\n")
        return 1
    sys.stdout.write(table(found))
    if differing(found):
        sys.stderr.write(f"The outputs are in {folder}.\n")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
