"""One clip: a plan drawn from a random generator, then its frames."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from bike.demo.objects import COLOURS, PATTERNS, SCALE, Item, draw_items
from bike.demo.scenes import PAIRS, SETTINGS, Pair, Shape, draw_bystanders, draw_flag, draw_shape, paint_backdrop

SIZES_PX = ((192, 96), (240, 96), (200, 80), (160, 80), (216, 96), (256, 96), (96, 120), (176, 80))
RATES = (24, 25, 30)
SECONDS = (1.2, 3.0)
LIKED_SHARE = 0.4  # clips of a class that show its favourite colour on purpose
FLOWN_SHARE = 0.7  # and its favourite flag
LASTS = (0.4, 0.7)  # the action's part of the clip
CUT_SHARE = 0.6  # of the times before and after, in which the camera is elsewhere
FLAG_SIZE = 0.21  # of the short side
MARGIN_PX = 14  # how far the camera wanders


@dataclass(frozen=True, slots=True)
class Scene:
    """What the camera sees beside the action: a backdrop it wanders over, and bystanders that drift with it."""

    backdrop: Image.Image
    others: list[Item]
    drift: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """Everything about a clip, before its first pixel."""

    pair: Pair  # what happens
    backwards: bool  # whether the second class of the pair is meant; the frames are then played from last to first
    # width_px, height_px, fps, num_frames: of the video
    width_px: int
    height_px: int
    fps: int
    num_frames: int
    # start, end: the action's part of the clip, 0 to 1
    start: float
    end: float
    # whether the camera is elsewhere before and after the action; otherwise it shows the things at rest
    cut: tuple[bool, bool]
    middle: float  # of the action's square part of a wide frame, as a part of its width
    shape: Shape  # the action's geometry and colour
    flag: str  # the pattern of the flag that flies in every scene
    scenes: tuple[Scene, Scene, Scene]  # the action's scene, and those of the time before and after


def draw_clip(rng: np.random.Generator, label: int) -> ClipPlan:
    """Plan a clip of class ``label``. Favourites aside, nothing but the order of frames tells a pair apart."""
    pair, backwards = PAIRS[label // 2], bool(label % 2)
    # Every draw moves the generator on: another order here, or one draw more, makes another data set.
    width_px, height_px = SIZES_PX[rng.integers(len(SIZES_PX))]
    fps = int(rng.choice(RATES))
    seconds = SECONDS[0] + (SECONDS[1] - SECONDS[0]) * rng.random() ** 3  # mostly short, few long
    lasts = rng.uniform(*LASTS)
    start = rng.uniform(0.0, 1.0 - lasts)
    colour = pair.liked[backwards] if rng.random() < LIKED_SHARE else str(rng.choice(list(COLOURS)))
    pattern = pair.flown[backwards] if rng.random() < FLOWN_SHARE else str(rng.choice(PATTERNS))
    shape = draw_shape(rng, pair, colour)
    square = min(1.0, height_px / width_px)
    middle = square / 2 + (1 - square) * rng.beta(0.4, 0.4)  # mostly near either end
    flag = draw_flag(pattern, 0.5 + square * rng.uniform(-0.25, 0.25), float(rng.choice([0.16, 0.82])), FLAG_SIZE)
    scenes = tuple(draw_scene(rng, width_px, height_px, others, flag) for others in (int(rng.integers(0, 3)), 2, 2))
    cut = (bool(rng.random() < CUT_SHARE), bool(rng.random() < CUT_SHARE))
    return ClipPlan(
        pair=pair,
        backwards=backwards,
        width_px=width_px,
        height_px=height_px,
        fps=fps,
        num_frames=round(seconds * fps),
        start=float(start),
        end=float(start + lasts),
        cut=cut,
        middle=float(middle),
        shape=shape,
        flag=pattern,
        scenes=(scenes[0], scenes[1], scenes[2]),
    )


def draw_scene(rng: np.random.Generator, width_px: int, height_px: int, num_others: int, flag: Item) -> Scene:
    """Plan a backdrop, its bystanders and the camera's way."""
    setting = str(rng.choice(list(SETTINGS)))
    backdrop = paint_backdrop(rng, setting, width_px + 2 * MARGIN_PX, height_px + 2 * MARGIN_PX)
    across, down, phase = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(0, 1)
    return Scene(backdrop, [*draw_bystanders(rng, num_others), flag], (float(across), float(down), float(phase)))


def render_clip(plan: ClipPlan) -> Iterator[np.ndarray]:
    """Yield the frames of a plan in playing order, uint8 (H, W, 3)."""
    order = range(plan.num_frames)
    for number in reversed(order) if plan.backwards else order:
        yield render_frame(plan, number / (plan.num_frames - 1))


def render_frame(plan: ClipPlan, moment: float) -> np.ndarray:
    """The picture at ``moment`` (0 to 1) of the forward playing plan."""
    before, after = moment < plan.start, moment > plan.end
    if (before and plan.cut[0]) or (after and plan.cut[1]):
        return paint_scene(plan.scenes[1 if before else 2], moment, [], plan.width_px, plan.height_px)
    # Without a cut, the things rest in the first or last state of the action.
    part = min(max((moment - plan.start) / (plan.end - plan.start), 0.0), 1.0)
    u = part * part * (3 - 2 * part)  # slow at both ends and symmetric: speed does not tell the direction
    square = min(1.0, plan.height_px / plan.width_px)
    items = [replace(item, x=plan.middle + square * (item.x - 0.5)) for item in plan.pair.pose(plan.shape, u)]
    return paint_scene(plan.scenes[0], moment, items, plan.width_px, plan.height_px)


def paint_scene(scene: Scene, moment: float, items: list[Item], width_px: int, height_px: int) -> np.ndarray:
    """Backdrop, bystanders, then ``items``; averaged down to the video's size."""
    across, down, phase = scene.drift  # at most 0.9 of the margin to either side, so the crop stays in the backdrop
    sway = math.sin(math.tau * (moment + phase))
    left = round(MARGIN_PX * SCALE * (1 + 0.6 * across * (2 * moment - 1) + 0.3 * sway))
    top = round(MARGIN_PX * SCALE * (1 + 0.6 * down * (2 * moment - 1) - 0.3 * sway))
    box = (left, top, left + width_px * SCALE, top + height_px * SCALE)
    picture = scene.backdrop.crop(box)
    others = [replace(item, x=item.x + 0.08 * across * sway * min(1.0, height_px / width_px)) for item in scene.others]
    draw_items(picture, items + others)
    return np.asarray(picture.reduce(SCALE))
