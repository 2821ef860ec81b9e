"""Still pictures with captions, for pretraining: what is seen and where, never what happens."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from bike.demo.clips import MARGIN_PX, Scene, paint_scene
from bike.demo.objects import COLOURS, PATTERNS
from bike.demo.scenes import PAIRS, SETTINGS, draw_bystanders, draw_flag, draw_shape, paint_backdrop

TEMPLATES = ("{}", "a picture of {}", "This is a video about {}")
STILL_PX = 96  # as drawn
FLAG_SHARE = 0.45  # stills with a flag
NEAR_SHARE = 0.4  # of those, flags larger than in clips: the words are learned where 32 pixels show the pattern
NUM_BACKDROPS = 240  # per setting they are a quarter of this
EMPTY_SHARE = 0.15  # stills without any of the classes' things
PLAIN_SHARE = 0.5  # captions that leave the colour out


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
        side = STILL_PX + 2 * MARGIN_PX
        backdrops.append((setting, paint_backdrop(rng, setting, side, side)))
    pictures = np.empty((number, 3, side_px, side_px), np.uint8)
    captions = []
    for index in range(number):
        setting, backdrop = backdrops[rng.integers(len(backdrops))]
        frame, caption = _draw_still(rng, setting, backdrop)
        pictures[index] = _fit_square(frame, side_px).transpose(2, 0, 1)
        captions.append(caption)
    return Stills(pictures, captions)


def _draw_still(rng: np.random.Generator, setting: str, backdrop: Image.Image) -> tuple[np.ndarray, str]:
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
    if rng.random() < FLAG_SHARE:
        pattern = str(rng.choice(PATTERNS))
        near = rng.random() < NEAR_SHARE
        size = rng.uniform(0.3, 0.6) if near else rng.uniform(0.19, 0.24)
        place = float(rng.uniform(0.25, 0.75)), float(rng.choice([0.16, 0.82]))
        others.append(draw_flag(pattern, *place, float(size)))
        words += f" and a {pattern} flag"
    elif rng.random() < 0.3:
        words += f" {setting}"
    across, down, phase, moment = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(), rng.uniform()
    frame = paint_scene(Scene(backdrop, others, (across, down, phase)), moment, items, STILL_PX, STILL_PX)
    sentence = TEMPLATES[rng.integers(len(TEMPLATES))].format(" ".join(words.split()))
    return frame, re.sub(r"\ba (?=[aeiou])", "an ", sentence)


def _fit_square(frame: np.ndarray, side_px: int) -> np.ndarray:
    """A square frame, scaled."""
    return np.asarray(Image.fromarray(frame).resize((side_px, side_px), Image.Resampling.BICUBIC, reducing_gap=2.0))
