"""Strips of frames with their temporal saliency: where in a test clip the model looks for the class."""

from __future__ import annotations

import base64
import io
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from bike.records import Sample

FRAME_SIDE_PX = 120  # longer side of a frame in the page


@dataclass(frozen=True, slots=True, eq=False)
class SaliencyStrip:
    """One test clip.

    Attributes:
        key: the sample's key.
        title: its class name.
        frames: uint8 (T,H,W,3).
        saliency: (T,), not negative, sums to about 1: the share of each frame in the concept spotting (SPEC: α).
        predicted: the class name that the model gave, empty when unknown.
    """

    key: str
    title: str
    frames: np.ndarray
    saliency: np.ndarray
    predicted: str = ""

    def __post_init__(self) -> None:
        """Refuse shapes that do not belong together."""
        frames, saliency = self.frames, self.saliency
        if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or saliency.shape != frames.shape[:1]:
            raise ValueError(
                f"frames uint8 (T,H,W,3) and saliency (T,) are needed, got {frames.shape}, {saliency.shape}"
            )


def choose_samples(samples: Sequence[Sample], count: int, seed: int) -> list[Sample]:
    """``count`` samples at random, from as many different classes as there are; the same ones for the same seed."""
    shuffled = sorted(samples, key=lambda sample: sample.key)
    random.Random(seed).shuffle(shuffled)
    turns: Counter[tuple[int, ...]] = Counter()
    order: list[tuple[int, Sample]] = []
    for sample in shuffled:
        order.append((turns[sample.labels], sample))
        turns[sample.labels] += 1
    return [sample for _, sample in sorted(order, key=lambda item: item[0])[:count]]


def frame_image(frame: np.ndarray) -> str:
    """A frame uint8 (H,W,3) as a ``data:`` address of a JPEG, scaled down to :data:`FRAME_SIDE_PX`."""
    image = Image.fromarray(frame)
    image.thumbnail((FRAME_SIDE_PX, FRAME_SIDE_PX), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
