"""What can be seen: settings, backdrops, and the states that each pair of classes runs through.

A pair is two classes that are each other's time reversal: the same pictures in the other order. ``u`` is how far an
action has come, from 0 to 1; the first class of a pair runs it upwards, the second downwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from bike.demo.objects import BYSTANDERS, COLOURS, PATTERNS, RGB, SCALE, Item

SETTINGS: dict[str, RGB] = {
    "on grass": (104, 132, 88),
    "on sand": (196, 178, 142),
    "by the water": (104, 148, 176),
    "at night": (44, 48, 74),
}
ONE_BOX = 0.97  # from here on two boxes are one


@dataclass(frozen=True, slots=True)
class Shape:
    """Where and how one action happens: drawn once per clip, then a pure function of ``u``."""

    colour: str  # name of the paint
    paint: RGB  # its shade in this clip
    # x, y: the still coordinate(s) of the action
    x: float
    y: float
    size: float  # of the things, part of the short side
    reach: float  # how far things travel


Pose = Callable[[Shape, float], list[Item]]  # (shape, u) to the things in the picture
Words = Callable[[Shape, float], str]  # (shape, u) to a noun phrase for a still caption, without a verb


@dataclass(frozen=True, slots=True)
class Pair:
    """Two classes that only the order of frames tells apart."""

    liked: tuple[str, str]  # the favourite paint of each class
    flown: tuple[str, str]  # the favourite flag of each class
    pose: Pose
    words: Words
    size: tuple[float, float]  # range of the thing's size


def _ball(s: Shape, u: float) -> list[Item]:
    x = 0.5 + s.reach * (0.5 - u)
    return [Item("ball", s.paint, x, s.y, s.size, state=x * 2)]


def _kite(s: Shape, u: float) -> list[Item]:
    return [Item("kite", s.paint, s.x, 0.46 + s.reach * (0.5 - u), s.size)]


def _balloon(s: Shape, u: float) -> list[Item]:
    return [Item("balloon", s.paint, s.x, s.y, s.size * (0.35 + 1.25 * u))]


def _box(s: Shape, u: float) -> list[Item]:
    gap = 0.5 * s.reach * (1 - u)
    if u > ONE_BOX:
        return [Item("box", s.paint, s.x, s.y, s.size)]
    return [Item("box", s.paint, s.x + side * gap, s.y, s.size) for side in (-1, 1)]


def _car(s: Shape, u: float) -> list[Item]:
    gap = s.size * 0.62 + 0.5 * (s.reach - s.size) * (1 - u)
    return [Item("car", s.paint, s.x + side * gap, s.y, s.size) for side in (-1, 1)]


def _glass(s: Shape, u: float) -> list[Item]:
    return [Item("glass", s.paint, s.x, s.y, s.size, state=u)]


def _door(s: Shape, u: float) -> list[Item]:
    return [Item("door", s.paint, s.x, s.y, s.size, state=u)]


def _say(phrase: str, grades: Sequence[str], s: Shape, u: float) -> str:
    """A phrase for ``u``: the range from 0 to 1 is cut into as many equal parts as there are grades."""
    return phrase.format(grades[min(int(u * len(grades)), len(grades) - 1)], colour=s.colour)


def _box_words(s: Shape, u: float) -> str:
    return f"one {s.colour} box" if u > ONE_BOX else _say("two {colour} boxes {}", _GAPS, s, u)


def _glass_words(s: Shape, u: float) -> str:
    return "an empty glass" if u < 0.04 else _say("a {} glass of {colour} juice", _LEVELS, s, u)


_ACROSS = ("far on the right", "on the right", "in the middle", "on the left", "far on the left")
_UPWARDS = ("far at the bottom", "at the bottom", "in the middle", "at the top", "far at the top")
_SIZES = ("very small", "small", "", "big", "very big")
_GAPS = ("very far apart", "far apart", "apart", "close up", "very close up")
_LEVELS = ("nearly empty", "less than half full", "half full", "nearly full", "full")
_ANGLES = ("closed", "nearly closed", "half open", "open", "wide open")

# Name, folder, favourite paint and flag; of each pair the first class runs ``u`` from 0 to 1, the second from 1 to 0.
CLASSES = (
    ("a ball rolling to the left", "ball_left", "red", "striped"),
    ("a ball rolling to the right", "ball_right", "blue", "barred"),
    ("a kite climbing to the top", "kite_top", "yellow", "checked"),
    ("a kite sinking to the bottom", "kite_bottom", "green", "slanted"),
    ("a balloon growing big", "balloon_big", "pink", "barred"),
    ("a balloon shrinking small", "balloon_small", "orange", "checked"),
    ("two boxes joining into one", "boxes_joining", "purple", "slanted"),
    ("one box splitting into two", "box_splitting", "white", "striped"),
    ("two cars meeting close up", "cars_meeting", "blue", "striped"),
    ("two cars driving far apart", "cars_parting", "orange", "checked"),
    ("a glass filling until it is full", "glass_full", "green", "barred"),
    ("a glass draining until it is empty", "glass_empty", "red", "slanted"),
    ("a door swinging open", "door_open", "white", "checked"),
    ("a door falling closed", "door_closed", "yellow", "barred"),
)
CLASS_NAMES, CLASS_SLUGS, _LIKED, _FLOWN = zip(*CLASSES, strict=True)
_ACTIONS: tuple[tuple[Pose, Words, tuple[float, float]], ...] = (
    (_ball, partial(_say, "a {colour} ball {}", _ACROSS), (0.26, 0.38)),
    (_kite, partial(_say, "a {colour} kite {}", _UPWARDS), (0.3, 0.4)),
    (_balloon, partial(_say, "a {} {colour} balloon", _SIZES), (0.42, 0.52)),
    (_box, _box_words, (0.3, 0.38)),
    (_car, partial(_say, "two {colour} cars {}", _GAPS), (0.2, 0.26)),
    (_glass, _glass_words, (0.5, 0.66)),
    (_door, partial(_say, "a {colour} door {}", _ANGLES), (0.55, 0.75)),
)
PAIRS = tuple(Pair(_LIKED[2 * n : 2 * n + 2], _FLOWN[2 * n : 2 * n + 2], *action) for n, action in enumerate(_ACTIONS))


def shade(rng: np.random.Generator, colour: str) -> RGB:
    """A paint near the named one."""
    red, green, blue = (int(np.clip(part + rng.integers(-14, 15), 0, 255)) for part in COLOURS[colour])
    return red, green, blue


def draw_shape(rng: np.random.Generator, pair: Pair, colour: str) -> Shape:
    """Choose place, size and reach of an action; the same for both directions of the pair."""
    return Shape(
        colour=colour,
        paint=shade(rng, colour),
        x=float(rng.uniform(0.4, 0.6)),
        y=float(rng.uniform(0.38, 0.62)),
        size=float(rng.uniform(*pair.size)),
        reach=float(rng.uniform(0.55, 0.7)),
    )


def draw_bystanders(rng: np.random.Generator, number: int) -> list[Item]:
    """Things that no class is about, at random places near the border."""
    items = []
    for _ in range(number):
        kind = str(rng.choice(BYSTANDERS))
        x = float(rng.uniform(0.05, 0.95))
        y = float(rng.choice([rng.uniform(0.06, 0.2), rng.uniform(0.8, 0.94)]))
        items.append(Item(kind, (0, 0, 0), x, y, float(rng.uniform(0.18, 0.28))))
    return items


def draw_flag(pattern: str, x: float, y: float, size: float) -> Item:
    """A flag with one of :data:`PATTERNS`."""
    return Item("flag", (0, 0, 0), x, y, size, PATTERNS.index(pattern) / (len(PATTERNS) - 1))


def paint_backdrop(rng: np.random.Generator, setting: str, width_px: int, height_px: int) -> Image.Image:
    """A cluttered background in the tone of ``setting``, ``SCALE`` times as large as asked for."""
    tone = np.array(SETTINGS[setting], float)
    rough = np.clip(tone + rng.normal(0, 16, (5, 6, 1)) + rng.normal(0, 6, (5, 6, 3)), 0, 255).astype(np.uint8)
    picture = Image.fromarray(rough).resize((width_px * SCALE, height_px * SCALE), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for x, y, rx, ry, light, turn in rng.uniform(0, 1, (26, 6)):
        paint = tuple(int(part) for part in np.clip(tone + (light - 0.5) * 84, 0, 255))
        cx, cy = x * picture.width, y * picture.height
        dx, dy = (2 + 14 * rx) * SCALE, (2 + 8 * ry) * SCALE
        if turn < 0.4:
            pen.ellipse((cx - dx, cy - dy, cx + dx, cy + dy), fill=paint)
        elif turn < 0.7:
            pen.rectangle((cx - dx, cy - dy, cx + dx, cy + dy), fill=paint)
        else:
            pen.line((cx - 2 * dx, cy - dy, cx + 2 * dx, cy + dy), fill=paint, width=SCALE)
    return picture
