"""Things that can be drawn: name, colour, place and size to pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageDraw

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "red": (214, 40, 40),
    "green": (40, 165, 60),
    "blue": (40, 80, 220),
    "yellow": (242, 214, 40),
    "orange": (246, 138, 24),
    "purple": (140, 50, 190),
    "pink": (248, 130, 190),
    "white": (244, 244, 244),
}
INK: RGB = (22, 22, 26)  # outlines
# Of flags. Each is about half dark: with too few pixels for its lines all flags are one grey.
PATTERNS = ("striped", "barred", "checked", "slanted")
_IS_DARK: tuple[Callable[[int, int], int], ...] = (
    lambda row, column: row,
    lambda row, column: column,
    lambda row, column: row + column,
    lambda row, column: (row + column) // 2,
)
SCALE = 2  # pictures are drawn this much larger and then averaged down


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in a picture."""

    kind: str  # a key of `DRAW`
    colour: RGB  # its paint, 0 to 255
    # x, y: its middle, as parts of the picture's width and height
    x: float
    y: float
    size: float  # its height, as a part of the picture's short side
    state: float = 0.0  # what else the kind shows: how open a door is, how full a glass, the turn of a ball; 0 to 1


def draw_items(picture: Image.Image, items: list[Item]) -> None:
    """Draw ``items`` into ``picture``, the first one farthest back."""
    width, height = picture.size
    pen = ImageDraw.Draw(picture)
    for item in items:
        radius = item.size * min(width, height) / 2
        DRAW[item.kind](pen, item.x * width, item.y * height, radius, item.colour, item.state)


Painter = Callable[[ImageDraw.ImageDraw, float, float, float, RGB, float], None]


def _box_around(x: float, y: float, rx: float, ry: float) -> tuple[float, float, float, float]:
    return (x - rx, y - ry, x + rx, y + ry)


def _ball(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: RGB, state: float) -> None:
    pen.ellipse(_box_around(x, y, r, r), fill=colour, outline=INK, width=SCALE)
    for turn in (0, 180):
        pen.pieslice(_box_around(x, y, r, r), 360 * state + turn, 360 * state + turn + 90, fill=INK)


def _kite(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: RGB, state: float) -> None:
    pen.line((x, y + 0.6 * r, x - 0.3 * r, y + r, x + 0.2 * r, y + 1.5 * r), fill=INK, width=SCALE)
    corners = [(x, y - r), (x + 0.75 * r, y - 0.2 * r), (x, y + 0.9 * r), (x - 0.75 * r, y - 0.2 * r)]
    pen.polygon(corners, fill=colour, outline=INK, width=SCALE)
    pen.line((x, y - r, x, y + 0.9 * r), fill=INK, width=SCALE)


def _balloon(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: RGB, state: float) -> None:
    pen.line((x, y + 0.7 * r, x, y + 1.5 * r), fill=INK, width=SCALE)
    pen.ellipse(_box_around(x, y - 0.1 * r, 0.75 * r, 0.9 * r), fill=colour, outline=INK, width=SCALE)


def _box(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: RGB, state: float) -> None:
    pen.rectangle(_box_around(x, y, 0.9 * r, 0.9 * r), fill=colour, outline=INK, width=SCALE)
    pen.line((x - 0.9 * r, y - 0.4 * r, x + 0.9 * r, y - 0.4 * r), fill=INK, width=SCALE)


def _car(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: RGB, state: float) -> None:
    pen.rectangle((x - 0.6 * r, y - 0.75 * r, x + 0.6 * r, y), fill=(200, 225, 240), outline=INK, width=SCALE)
    pen.rectangle((x - 1.25 * r, y - 0.15 * r, x + 1.25 * r, y + 0.5 * r), fill=colour, outline=INK, width=SCALE)
    for side in (-0.7, 0.7):
        pen.ellipse(_box_around(x + side * r, y + 0.55 * r, 0.32 * r, 0.32 * r), fill=INK)


def _glass(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: RGB, state: float) -> None:
    pen.rectangle(_box_around(x, y, 0.7 * r, r), fill=(222, 232, 238), outline=INK, width=SCALE)
    if state > 0.02:
        level = y + 0.92 * r - 1.75 * r * state
        pen.rectangle((x - 0.6 * r, level, x + 0.6 * r, y + 0.92 * r), fill=colour)


def _door(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: RGB, state: float) -> None:
    pen.rectangle(_box_around(x, y, 0.72 * r, r), fill=INK, outline=(150, 150, 150), width=SCALE)
    edge = x - 0.62 * r + 1.24 * r * (1 - 0.9 * state)
    pen.rectangle((x - 0.62 * r, y - 0.9 * r, edge, y + r), fill=colour)
    pen.ellipse(_box_around(edge - 0.12 * r, y + 0.1 * r, 0.06 * r, 0.06 * r), fill=INK)


def _tree(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: RGB, state: float) -> None:
    pen.rectangle((x - 0.15 * r, y, x + 0.15 * r, y + r), fill=(96, 64, 40))
    pen.polygon([(x, y - r), (x + 0.7 * r, y + 0.4 * r), (x - 0.7 * r, y + 0.4 * r)], fill=(34, 90, 50))


def _house(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: RGB, state: float) -> None:
    pen.rectangle((x - 0.7 * r, y - 0.1 * r, x + 0.7 * r, y + r), fill=(168, 150, 130), outline=INK)
    pen.polygon([(x, y - r), (x + 0.95 * r, y - 0.1 * r), (x - 0.95 * r, y - 0.1 * r)], fill=(120, 70, 55))


def _cloud(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: RGB, state: float) -> None:
    for dx, dy, part in ((-0.7, 0.15, 0.45), (0.0, -0.1, 0.6), (0.7, 0.15, 0.45)):
        pen.ellipse(_box_around(x + dx * r, y + dy * r, part * r, part * r * 0.8), fill=(214, 218, 224))


def _flower(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: RGB, state: float) -> None:
    pen.line((x, y, x, y + r), fill=(40, 110, 50), width=SCALE)
    for turn in range(5):
        dx, dy = 0.35 * r * math.cos(math.tau * turn / 5), 0.35 * r * math.sin(math.tau * turn / 5)
        pen.ellipse(_box_around(x + dx, y - 0.3 * r + dy, 0.28 * r, 0.28 * r), fill=(210, 160, 200))
    pen.ellipse(_box_around(x, y - 0.3 * r, 0.2 * r, 0.2 * r), fill=(220, 190, 90))


def _fish(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: RGB, state: float) -> None:
    pen.polygon([(x + 0.5 * r, y), (x + 1.1 * r, y - 0.45 * r), (x + 1.1 * r, y + 0.45 * r)], fill=(120, 130, 150))
    pen.ellipse(_box_around(x - 0.1 * r, y, 0.8 * r, 0.45 * r), fill=(140, 150, 170), outline=INK)


def _flag(pen: ImageDraw.ImageDraw, x: float, y: float, r: float, colour: RGB, state: float) -> None:
    pen.line((x - 1.2 * r, y - r, x - 1.2 * r, y + 1.2 * r), fill=INK, width=SCALE)
    left, top, cell = x - 1.2 * r, y - r, r / 4
    pen.rectangle((left, top, left + 9 * cell, top + 6 * cell), fill=(244, 244, 244))
    for row in range(6):
        for column in range(9):
            if _IS_DARK[round(state * (len(PATTERNS) - 1))](row, column) % 2:
                corner = left + column * cell, top + row * cell
                pen.rectangle((*corner, corner[0] + cell, corner[1] + cell), fill=INK)


_PAINTERS = (_ball, _kite, _balloon, _box, _car, _glass, _door, _tree, _house, _cloud, _flower, _fish, _flag)
DRAW: dict[str, Painter] = {painter.__name__.strip("_"): painter for painter in _PAINTERS}
BYSTANDERS = ("tree", "house", "cloud", "flower", "fish")  # kinds that no class is about; their paint is fixed
