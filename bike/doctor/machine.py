"""What this machine offers: Python, decoders, torch and devices, optional packages.

What is looked at is imported where it is looked at: a package that is missing or broken is a finding, not an end.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from bike.doctor.check import Check
from bike.errors import BikeError, one_line
from bike.params import load_machine
from bike.workers.pool import num_cores
from bike.workers.worker import has_module


def check_machine() -> list[Check]:
    """Python, processor and disk, ffmpeg, decoders, torch and its devices, optional packages."""
    return [
        Check("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        _try("cores", _cores),
        _try("ffmpeg", _ffmpeg),
        _try("ffmpeg-python", _ffmpeg_python),
        _try("decoder pyav", _pyav),
        _optional("decoder decord", "decord", "decord"),
        _try("jpeg", lambda: _package("simplejpeg")),
        _try("torch", _torch),
        _try("device", _devices),
        _try("machine.yaml", machine_settings),
        _optional("dask", "distributed", "dask"),
        _optional("s3", "boto3", "s3"),
        _optional("ssh", "dvc_ssh", "ssh"),
    ]


def _try(subject: str, look: Callable[[], str]) -> Check:
    try:
        return Check(subject, "ok", look())
    except (BikeError, ImportError, OSError, ValueError, subprocess.SubprocessError) as error:
        return Check(subject, "bad", one_line(error))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


def _package(module: str) -> str:
    importlib.import_module(module)  # installed is not enough: a binary may not fit this machine
    return f"{module} {_version(module)}"


def _optional(subject: str, module: str, extra: str) -> Check:
    if has_module(module):
        return Check(subject, "ok", f"{module} {_version(module)}")
    return Check(subject, "note", f'not installed (`pip install "bike-video[{extra}]"`)')


def machine_settings(path: Path = Path("machine.yaml")) -> str:
    """What is set for this machine, in a few words.

    Raises:
        ParamsError: an unknown key or a bad value.
    """
    stated = load_machine(path).model_dump(exclude_defaults=True)
    return ", ".join(f"{name} {value}" for name, value in stated.items()) or "nothing is set: the defaults hold"


def _ffmpeg() -> str:
    from bike.extract.ffmpeg import ffmpeg_binary

    path = ffmpeg_binary()
    result = subprocess.run([path, "-hide_banner", "-version"], capture_output=True, timeout=30, check=False)
    version = result.stdout.decode(errors="replace").partition("Copyright")[0].strip()
    if result.returncode or not version:
        raise BikeError(f"{path}: does not run. Fix it, or unset IMAGEIO_FFMPEG_EXE.")
    return f"{one_line(version)} ({path})"


def _ffmpeg_python() -> str:
    from bike.extract.ffmpeg import ffmpeg_python

    ffmpeg_python()
    return _version("ffmpeg-python")


def _cores() -> str:
    memory, free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), shutil.disk_usage(Path.cwd()).free
    sizes = f"{memory / 2**30:.0f} GiB memory; {free / 2**30:.0f} GiB free here"
    return f"{num_cores()} usable of {os.cpu_count()}; {sizes}"


def _pyav() -> str:
    import av

    libraries = ".".join(map(str, av.library_versions["libavcodec"]))
    codecs = [name for name in ("h264", "hevc", "vp9", "libdav1d", "av1") if name in av.codecs_available]
    return f"PyAV {av.__version__}, libavcodec {libraries}; {', '.join(codecs)}"


def _torch() -> str:
    import torch

    return f"{torch.__version__}, {torch.get_num_threads()} threads"


def _devices() -> str:
    import torch

    if not torch.cuda.is_available():
        return "cpu only (no CUDA device that torch can use)"
    found = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return "; ".join(f"cuda:{n} {each.name}, {each.total_memory / 2**30:.0f} GiB" for n, each in enumerate(found))
