"""Still pictures with captions, for pretraining: what is seen and where, never what happens."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from bike.demo.clips import MARGIN_PX, SIZES_PX, Scene, paint_scene
from bike.demo.objects import COLOURS
from bike.demo.scenes import PAIRS, SETTINGS, draw_bystanders, draw_shape, paint_backdrop

TEMPLATES = (
    "{}",
    "a photo of {}",
    "a picture of {}",
    "a small picture with {}",
    "This is {}",
    "This is a picture of {}",
    "This is a video about {}",
    "This is a frame of a video about {}",
)
NUM_BACKDROPS = 240  # per setting they are a quarter of this
EMPTY_SHARE = 0.15  # stills without any of the classes' things
PLAIN_SHARE = 0.25  # captions that leave the colour out


@dataclass(frozen=True, slots=True)
class Stills:
    """Pictures and their captions.

    Attributes:
        pictures: uint8 (N, 3, S, S).
        captions: N sentences; many are equal.
    """

    pictures: np.ndarray
    captions: list[str]


def render_stills(number: int, side_px: int, seed: int) -> Stills:
    """Draw ``number`` pictures of ``side_px`` squared with a caption each; equal arguments give equal stills."""
    rng = np.random.default_rng([seed, 77])
    backdrops = []  # painted once and used by many stills
    for index in range(min(NUM_BACKDROPS, number)):
        setting = list(SETTINGS)[index % len(SETTINGS)]
        largest = max(max(size) for size in SIZES_PX) + 2 * MARGIN_PX
        backdrops.append((setting, paint_backdrop(rng, setting, largest, largest)))
    pictures = np.empty((number, 3, side_px, side_px), np.uint8)
    captions = []
    for index in range(number):
        setting, backdrop = backdrops[rng.integers(len(backdrops))]
        frame, caption = _draw_still(rng, setting, backdrop)
        pictures[index] = _fit_square(frame, side_px).transpose(2, 0, 1)
        captions.append(caption)
    return Stills(pictures, captions)


def _draw_still(rng: np.random.Generator, setting: str, backdrop: Image.Image) -> tuple[np.ndarray, str]:
    width_px, height_px = SIZES_PX[rng.integers(len(SIZES_PX))]
    number = int(rng.integers(0, 3))
    items = []
    if rng.random() < EMPTY_SHARE:
        number = max(number, 1)
        others = draw_bystanders(rng, number)
        words = " and ".join(f"a {item.kind}" for item in others)
    else:
        pair = PAIRS[rng.integers(len(PAIRS))]
        colour = str(rng.choice(list(COLOURS)))
        shape = draw_shape(rng, pair, colour)
        u = float(np.clip(rng.uniform(-0.2, 1.2), 0, 1))  # both ends of a motion in a seventh of the stills each
        items = pair.pose(shape, u)
        words = pair.words(replace(shape, colour="") if rng.random() < PLAIN_SHARE else shape, u)
        others = draw_bystanders(rng, number)
        if others and rng.random() < 0.2:
            words += f" and a {others[0].kind}"
    if rng.random() < 0.3:
        words += f" {setting}"
    across, down, phase, moment = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(), rng.uniform()
    frame = paint_scene(Scene(backdrop, others, (across, down, phase)), moment, items, width_px, height_px)
    sentence = TEMPLATES[rng.integers(len(TEMPLATES))].format(" ".join(words.split()))
    return frame, re.sub(r"\ba (?=[aeiou])", "an ", sentence)


def _fit_square(frame: np.ndarray, side_px: int) -> np.ndarray:
    """The middle square of a frame, scaled."""
    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(frame).crop((left, top, left + side, top + side))
    return np.asarray(square.resize((side_px, side_px), Image.Resampling.BICUBIC, reducing_gap=2.0))
