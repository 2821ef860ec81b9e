"""A small pipeline on this processor and on emulated ones of two makers: every output must be the same bytes.

``python .ci/cross_cpu.py [PROCESSOR …]`` needs ``qemu-x86_64`` (Debian's package qemu-user) and half an hour;
processors are QEMU's names, left out Haswell (Intel) and EPYC-Rome (AMD). QEMU emulates AVX2 and no AVX-512. It prints
a table of checksums, and exits with 1 where one differs.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
PROCESSORS = ("Haswell", "EPYC-Rome")
# Enough for every kernel of a stage to run; what is not named here is as in params.yaml, threads as well.
SMALL: dict[str, dict[str, Any]] = {
    "demo_data": {"train_per_class": 1, "val_per_class": 1, "test_per_class": 1},
    "extract": {"short_side": 48},
    "pretrain": {"num_images": 32, "steps": 4, "batch_size": 16, "warmup_steps": 1},
    "pretrain_strong": {"num_images": 32, "steps": 4, "batch_size": 16, "warmup_steps": 1},
    "train": {"epochs": 2, "batch_size": 14, "warmup_epochs": 0.5, "validate_every": 1},
    "train_attributes": {"epochs": 2, "batch_size": 14, "warmup_epochs": 0.5, "validate_every": 1},
    "report": {"clips": 2},
}
LISTS, SHARDS, CORPUS = "lists/demo", "data/shards", "data/attributes.json"
VIDEO, TEST = "results/video-transf-vcs", [LISTS, f"{SHARDS}/test"]
STAGES = [
    ["demo_data", "data/source"],
    ["extract", "data/source/videos.tar", "data/frames"],
    ["annotate", "data/source/annotations.csv", "data/frames/manifest.csv", LISTS],
    *(
        ["shard", f"{LISTS}/{split}.csv", "data/frames", f"{SHARDS}/{split}", "--videos", "data/source/videos.tar"]
        for split in ("train", "val", "test")
    ),
    *(
        ["pretrain", "models/demo-clip{kind}.safetensors", "results/pretrain{kind}", "--sections", section]
        for section in ("pretrain", "pretrain_strong")
    ),
    ["attributes", str(ROOT / "lists/demo-lexicon.txt"), LISTS, SHARDS, CORPUS],
    ["train", LISTS, SHARDS, "models/video.pt", "results/train/video"],
    ["train_attributes", LISTS, CORPUS, "models/attributes.pt", "results/train/attributes"],
    *(["evaluate", "models/video.pt", *TEST, f"{VIDEO}/{views}", "--views", views] for views in ("1x1", "4x3")),
    ["evaluate_attributes", "models/attributes.pt", LISTS, CORPUS, "results/attributes"],
    ["zeroshot", *TEST, "results/zeroshot/4x3", "--views", "4x3"],
    ["fuse", f"{VIDEO}/4x3", "results/attributes", "results/fuse/4x3"],
    ["report", "results", LISTS, "data/frames/manifest.csv", f"{SHARDS}/test", "models/video.pt", "report"],
]
# In processes of their own, since peers find each other once.
TWO_PROCESSES = {
    "two-video": ["train", LISTS, SHARDS, "two/video.pt", "two/video", "--heads", "none-dp"],
    "two-attributes": ["train_attributes", LISTS, CORPUS, "two/attributes.pt", "two/attributes"],
}


def run_stages(stages: list[list[str]]) -> None:
    """Run stages one after the other in this process, so that torch is imported once: an emulator takes long for it."""
    for words in stages:
        start, sys.argv = time.monotonic(), list(words)
        importlib.import_module(f"stages.{words[0]}").main()
        sys.stderr.write(f"{words[0]}: {time.monotonic() - start:.0f} s\n")


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
    return {**os.environ, **mine, "OMP_WAIT_POLICY": "PASSIVE", "BIKE_WORKERS": "0", "BIKE_DEVICE": "cpu"}


def run_pipeline(folder: Path, processor: str | None) -> dict[str, str]:
    """Run every stage, the trainings with two processes too, in ``folder``.

    Returns:
        Output -> SHA-256 over its files.
    """
    variables = make_programs(folder / "programs", processor)
    yaml, work = YAML(), folder / "work"
    work.mkdir()
    params = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["numerics"] = "portable"
    for section, values in SMALL.items():
        params[section].update(values)
    with (work / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(params, file)
    finish([start(work, variables, "alone")])
    for what in TWO_PROCESSES:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = str(probe.getsockname()[1])
        peers = {**variables, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        finish([start(work, {**peers, "RANK": rank, "LOCAL_RANK": rank}, what) for rank in "01"])
    return checksums(work)


def start(work: Path, variables: dict[str, str], what: str) -> subprocess.Popen[bytes]:
    """Start this file with the programs beside ``work``; its messages go to a file there."""
    with (work.parent / f"{what}-{variables.get('RANK', '0')}.log").open("wb") as log:
        words = [work.parent / "programs/bin/python", "-W", "ignore", __file__, "--stages", what]
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
        run_stages([TWO_PROCESSES[sys.argv[2]]] if sys.argv[2] in TWO_PROCESSES else STAGES)
        return 0
    if shutil.which("qemu-x86_64") is None:
        sys.stderr.write("qemu-x86_64: not found. On Debian and Ubuntu: apt-get install qemu-user\n")
        return 1
    found = {}
    names = sys.argv[1:] or list(PROCESSORS)
    folder = Path(os.environ.get("CROSS_CPU_FOLDER") or tempfile.mkdtemp(prefix="bike-"))
    for name in ("here", *names):
        start = time.monotonic()
        try:
            found[name] = run_pipeline(folder / name, None if name == "here" else name)
        except subprocess.CalledProcessError as error:
            sys.stderr.write(f"{name}: {error}. Its messages are in {folder / name}.\n")
            return 1
        sys.stderr.write(f"{name}: {time.monotonic() - start:.0f} s\n")
    sys.stdout.write(table(found))
    differ = differing(found)
    if not differ:
        shutil.rmtree(folder)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
