"""Projects of `bike init` on tiny videos under official names, with a tiny CLIP in the place of the weights."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from helpers.fit import tiny_encoder
from helpers.places import ROOT
from helpers.videos import make_video

from bike.model.heads import VideoHead
from bike.model.weights import save_released, save_safetensors

# Enough for every stage to run, far too little to learn.
SMALL = (
    "extract.short_side=32",
    "model.frames=2",
    "train.epochs=1",
    "train.warmup_epochs=0",
    "train.batch_size=2",
    "train.threads=1",
    "evaluate.threads=1",
)


def git(folder: Path, *words: str) -> str:
    """Run git in a folder, as somebody with a name; what it printed."""
    named = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    done = subprocess.run(("git", *named, *words), cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "results")


def make_videos(folder: Path, names: Iterable[str], *, seconds: float = 1.0) -> Path:
    """Videos of 12 frames under given names; six different ones, again and again."""
    folder.mkdir(parents=True, exist_ok=True)
    fps = max(1, round(12 / seconds))
    made = [make_video(folder.parent / f"clip{n}.mp4", 12, fps=fps, width=64 + 16 * n) for n in range(6)]
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made[number % len(made)], folder / name)
    return folder


def own_videos(folder: Path) -> Path:
    """Eight videos of two classes in folders of their names, which need no annotation."""
    names = [f"{split}/{name}/{clip}.mp4" for split in ("train", "test") for name in ("red", "blue") for clip in (1, 2)]
    return make_videos(folder, names)


def make_weights(folder: Path) -> tuple[Path, Path]:
    """A CLIP of random weights, and a trained video branch of the same architecture."""
    encoder = tiny_encoder()
    clip, model = folder / "clip.safetensors", folder / "model.pt"
    save_safetensors(clip, encoder)
    save_released(model, encoder, VideoHead(encoder.embed_dim, encoder.text_heads, "transf", "vcs").eval(), 1)
    return clip, model


def environment() -> dict[str, str]:
    """Variables of programs that tests start: this Python comes first, and little of the machine is used."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1", "BIKE_WORKERS": "0"}
    env |= {"OMP_NUM_THREADS": "1", "BIKE_JOBS": "1", "COLUMNS": "100", "NO_COLOR": "1"}
    env.pop("BIKE_VIDEOS", None)
    return env


def run_in(folder: Path, *words: str, status: int = 0, **variables: str) -> str:
    """Run a Python module (``dvc``, ``bike.cli``) in a folder; what it said."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**environment(), **variables},
        check=False,
    )
    assert done.returncode == status, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr
