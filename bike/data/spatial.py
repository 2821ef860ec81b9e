"""Frames of any size to squares for the encoder: resize, crop, flip, grayscale, normalise; bytes until the last.

Decoders give pixels side by side (H, W, 3), and so it stays all the way: what is (..., 3, H, W) from the crop on is a
view of that memory ("channels last"), since turning it around takes as long as half of the cutting and scaling.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
NUM_CROPS = (1, 3, 5, 10)
ASPECTS = (3 / 4, 4 / 3)


@dataclass(frozen=True, slots=True)
class TrainCrop:
    """One draw of the training augmentation, applied to every frame of a clip.

    Attributes:
        top, left, height, width: the window in pixels of the original frame.
        flip: mirror left and right.
        grayscale: take the colour away.
    """

    top: int
    left: int
    height: int
    width: int
    flip: bool = False
    grayscale: bool = False


def scaled_side(short_side: int | None, input_size: int) -> int:
    """Pixels of the short side before cropping: ``short_side``, or as published where it is None."""
    return short_side or (256 if input_size == 224 else input_size)


def resize_short_side(frames: UInt8[Tensor, "T H W 3"], short_side: int) -> UInt8[Tensor, "T H2 W2 3"]:
    """Scale frames so that the short side has ``short_side`` pixels; the long side keeps the ratio, rounded down.

    Bicubic and antialiased, within 2 levels of what PIL gives. Frames of the right size come back as they are.
    """
    height, width = frames.shape[1:3]
    shortest = min(height, width)
    if shortest == short_side:
        return frames
    return _resize(frames, (short_side * height // shortest, short_side * width // shortest), "bicubic")


def test_crops(
    frames: UInt8[Tensor, "T H W 3"],
    input_size: int,
    num_crops: int,
    *,
    short_side: int | None = None,  # noqa: PT028
) -> UInt8[Tensor, "N 3 S S"]:
    """Cut the test windows out of every frame.

    Args:
        frames: uint8 (T, H, W, 3) of any size.
        input_size: S, pixels.
        num_crops: 1: centre. 3: left, right and centre, halfway up. 5: top left, top right, bottom left, bottom right,
            centre. 10: these five, each followed by its mirror image.
        short_side: pixels of the short side before cropping, at least S; None: 256 for 224, otherwise S.

    Returns:
        uint8 (num_crops · T, 3, S, S), crop-major, before normalisation; channels last in memory.

    Raises:
        ValueError: another number of crops, a short side below the input size, or a size below 1.
    """
    if num_crops not in NUM_CROPS:
        raise ValueError(f"num_crops must be one of {NUM_CROPS} (got {num_crops}).")
    short_side = scaled_side(short_side, input_size)
    if not 1 <= input_size <= short_side:
        raise ValueError(f"input_size must be from 1 to short_side (got {input_size}, {short_side}).")
    images = resize_short_side(frames, short_side)
    height, width = images.shape[1:3]
    offsets = _test_offsets(height, width, input_size, num_crops)
    crops = images.new_empty(num_crops, len(images), input_size, input_size, 3)
    copies = num_crops // len(offsets)  # 2 where each window is followed by its mirror image
    for number, (top, left) in enumerate(offsets):
        window = images[:, top : top + input_size, left : left + input_size]
        crops[number * copies].copy_(window)
        if copies == 2:
            crops[number * copies + 1].copy_(_mirrored(window))
    return _planes(crops.flatten(0, 1))


test_crops.__test__ = False  # type: ignore[attr-defined]  # the name is public; pytest must not collect it


def _test_offsets(height: int, width: int, size: int, num_crops: int) -> list[tuple[int, int]]:
    """Top and left of each window, mirror images not counted."""
    # As published: a single crop is centred to the pixel, several lie on quarters of what is left over.
    if num_crops == 1:
        return [(round((height - size) / 2), round((width - size) / 2))]
    down, right = (height - size) // 4, (width - size) // 4
    centre = (2 * down, 2 * right)
    if num_crops == 3:
        return [(2 * down, 0), (2 * down, 4 * right), centre]
    return [(0, 0), (0, 4 * right), (4 * down, 0), (4 * down, 4 * right), centre]


def draw_train_crop(
    generator: np.random.Generator,
    height: int,
    width: int,
    *,
    min_area: float | int = 0.08,
    flip: float | int = 0.5,
    grayscale: bool = False,
) -> TrainCrop:
    """Draw a random window of a clip, and whether it is mirrored.

    Up to ten tries: an area between ``min_area`` and 1 of the frame, a width of 3/4 to 4/3 of the height, the sides
    swapped half of the time; the first window that fits is placed uniformly. If none fits, the largest square is.

    Args:
        generator: the only source of randomness.
        height, width: of the frames, pixels, at least 1.
        min_area: smallest area as a share of the frame, above 0 up to 1.
        flip: probability.
        grayscale: take the colour away; drawn before (:func:`draw_gray`).

    Raises:
        ValueError: a size below 1 or an area outside its range.
    """
    if min(height, width) < 1 or not 0 < min_area <= 1:
        raise ValueError(f"height, width or min_area is out of range (got {height}, {width}, {min_area}).")
    crop_height = crop_width = min(height, width)
    for _ in range(10):
        area = height * width * generator.uniform(min_area, 1.0)
        ratio = generator.uniform(*ASPECTS)
        sides = (max(1, round(sqrt(area / ratio))), max(1, round(sqrt(area * ratio))))
        if generator.random() < 0.5:
            sides = sides[::-1]
        if sides[0] <= height and sides[1] <= width:
            crop_height, crop_width = sides
            break
    return TrainCrop(
        top=int(generator.integers(0, height - crop_height, endpoint=True)),
        left=int(generator.integers(0, width - crop_width, endpoint=True)),
        height=crop_height,
        width=crop_width,
        flip=bool(generator.random() < flip),
        grayscale=grayscale,
    )


def draw_gray(generator: np.random.Generator, probability: float) -> bool:
    """Draw whether a clip loses its colour: before its frames are read, since gray ones are read faster."""
    return bool(generator.random() < probability)


def train_views(frames: UInt8[Tensor, "T H W C"], crop: TrainCrop, input_size: int) -> UInt8[Tensor, "T 3 S S"]:
    """Apply one draw to a clip; the window is scaled once, from the original pixels (bilinear, antialiased).

    Args:
        frames: uint8 (T, H, W, 3), or (T, H, W, 1) where they are gray already.
        crop: a draw made for this height and width.
        input_size: S, pixels.

    Returns:
        uint8 (T, 3, S, S), channels last in memory.

    Raises:
        ValueError: the window does not lie inside the frames.
    """
    bottom, right = crop.top + crop.height, crop.left + crop.width
    if min(crop.top, crop.left) < 0 or bottom > frames.shape[1] or right > frames.shape[2]:
        raise ValueError(f"the window {crop} does not fit frames of {frames.shape[1]}×{frames.shape[2]}.")
    window = frames[:, crop.top : bottom, crop.left : right]
    images = _resize(window, (input_size, input_size), "bilinear")
    if images.shape[3] == 1:
        images = torch.cat([images, images, images], 3)
    elif crop.grayscale:
        images = _to_gray(images)
    return _planes(_mirrored(images) if crop.flip else images)


def _planes(frames: UInt8[Tensor, "T H W 3"]) -> UInt8[Tensor, "T 3 H W"]:
    return frames.permute(0, 3, 1, 2)


def _mirrored(frames: UInt8[Tensor, "T H W 3"]) -> UInt8[Tensor, "T H W 3"]:
    """Left and right changed. torch has a fast path for the last dimension of a channels-last view only."""
    return frames.permute(0, 3, 1, 2).flip(3).permute(0, 2, 3, 1)


def _resize(frames: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Antialiased resize of (T, H, W, 3) bytes. The permuted view goes in as it is: torch has a fast path for it."""
    return interpolate(frames.permute(0, 3, 1, 2), size, mode=mode, antialias=True).permute(0, 2, 3, 1)


def _to_gray(frames: UInt8[Tensor, "T H W 3"]) -> UInt8[Tensor, "T H W 3"]:
    """ITU-R 601 luma in 16-bit fixed point, as PIL's ``convert("L")``, in three equal channels."""
    red, green, blue = frames.unbind(3)
    # 0.299, 0.587 and 0.114 times 65536; 0x8000 is a half of it, for rounding.
    luma = red.to(torch.int32).mul_(19595).add_(green, alpha=38470).add_(blue, alpha=7471).add_(0x8000)
    luma = luma.bitwise_right_shift_(16).to(torch.uint8)
    return torch.stack([luma, luma, luma], 3)  # three times as fast as a copy of an expanded view


def normalize(images: UInt8[Tensor, "*batch 3 H W"]) -> Float[Tensor, "*batch 3 H W"]:
    """Bytes to the encoder's input: ``(images / 255 - CLIP_MEAN) / CLIP_STD`` per channel, in fp32.

    Args:
        images: uint8 (..., 3, H, W) on any device, where the result stays; its memory has the same order.
    """
    scale = torch.tensor([1 / (255 * std) for std in CLIP_STD], device=images.device)
    shift = torch.tensor([-m / s for m, s in zip(CLIP_MEAN, CLIP_STD, strict=True)], device=images.device)
    by_pixel = images.movedim(-3, -1)
    if by_pixel.is_contiguous():
        # Whole lines of pixels at a time: three numbers are too few for the innermost loop.
        width = by_pixel.shape[-2]
        lines = by_pixel.flatten(-2).to(torch.float32)
        torch.addcmul(shift.repeat(width), lines, scale.repeat(width), out=lines)
        return lines.view(by_pixel.shape).movedim(-1, -3)
    return images.to(torch.float32).mul_(scale.view(3, 1, 1)).add_(shift.view(3, 1, 1))
