"""Where a result came from, in a file beside its folder: outside what DVC hashes, since it differs between machines."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bike.errors import BikeError
from bike.files import read_json, read_text, sha256, sweep_file, write_json
from bike.files.names import beside

# Packages that decide results: those of constraints-results.txt.
VERSIONS = (
    "av",
    "ftfy",
    "imageio-ffmpeg",
    "numpy",
    "pandas",
    "pillow",
    "safetensors",
    "simplejpeg",
    "tokenizers",
    "torch",
)


def version_of(package: str) -> str:
    """What is installed of a package, without a build's local part; ``none`` where it is not."""
    try:
        return importlib.metadata.version(package).partition("+")[0]  # 2.13.0+cpu is torch 2.13.0
    except importlib.metadata.PackageNotFoundError:
        return "none"


def provenance_path(result: Path) -> Path:
    """``results/video/1x1.provenance.json`` of ``results/video/1x1``."""
    return beside(result, "{}.provenance.json")


def check_provenance(result: Path) -> None:
    """Refuse to replace somebody else's file in the place of a result's origin.

    What killed runs left of it is removed.

    Raises:
        BikeError: there is a file that no run wrote.
    """
    path, found = provenance_path(result), None
    if os.path.lexists(path):
        with suppress(BikeError):
            found = read_json(path)
        if not isinstance(found, dict) or not found.keys() >= {"commit", "versions", "device"}:
            raise BikeError(f"{path}: is there already, and no run wrote it. Move it away, or choose another folder.")
    sweep_file(path)


def write_provenance(result: Path, last: str, origin: Mapping[str, Any], *, device: str) -> None:
    """Write what is known of a finished result's origin.

    Args:
        result: its folder.
        last: the file in it whose checksum says which result is meant.
        origin: data, weights and parameters, as the run knows them.
        device: ``cpu``, ``cuda:0`` …
    """
    lock = Path("dvc.lock")
    content = {
        last: sha256(result / last),
        "commit": _commit(),
        "dvc.lock": sha256(lock) if lock.is_file() else None,
        **origin,
        "versions": {name: version_of(name) for name in ("bike-video", *VERSIONS)}
        | {"python": platform.python_version()},
        "device": f"{device}, {_name_of(device)}",
    }
    write_json(provenance_path(result), content)


def _commit() -> str | None:
    """The commit at work, with ``-dirty`` behind it where tracked files differ; None without git or a commit."""
    words = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*")
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None


def _name_of(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    cores = Path("/proc/cpuinfo")  # Linux; elsewhere the architecture has to do
    lines = read_text(cores).splitlines() if cores.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
