"""Resize, crops, augmentation, normalisation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from bike.data import spatial
from bike.data.spatial import TrainCrop, draw_gray, draw_train_crop, normalize, resize_short_side, train_views


def smooth_frames(num_frames: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Smooth random frames, so that a resize means something."""
    coarse = np.random.default_rng(seed).integers(0, 256, (num_frames, 5, 7, 3), dtype=np.uint8)
    frames = [np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.BICUBIC)) for f in coarse]
    return torch.from_numpy(np.stack(frames))


def difference(a: Tensor, b: Tensor) -> Tensor:
    assert a.shape == b.shape
    assert a.dtype == b.dtype == torch.uint8
    return (a.int() - b.int()).abs()


def test_crops_equal_the_published_ones(golden: Path) -> None:
    cases = load_file(golden / "transforms.safetensors")
    names = [name for name in cases if ".crops" in name]
    assert len(names) == 8
    for name in names:
        size, num_crops = name.split(".crops")
        crops = spatial.test_crops(cases[f"{size}.frames"], 224, int(num_crops))
        error = difference(crops, cases[name])
        assert error.max() <= 2, name
        assert error.float().mean() < 0.01, name


@pytest.mark.parametrize(("height", "width"), [(90, 160), (160, 90), (37, 41), (300, 31), (64, 64)])
def test_resize_agrees_with_pil(height: int, width: int) -> None:
    frames = smooth_frames(2, height, width)
    resized = resize_short_side(frames, 48)
    assert min(resized.shape[1:3]) == 48
    size = (resized.shape[2], resized.shape[1])
    assert size == (48 * width // min(height, width), 48 * height // min(height, width))
    expected = [np.asarray(Image.fromarray(f.numpy()).resize(size, Image.Resampling.BICUBIC)) for f in frames]
    error = difference(resized, torch.from_numpy(np.stack(expected)))
    assert error.max() <= 2
    assert error.float().mean() < 0.05


def test_crop_places_by_hand() -> None:
    # Each pixel holds its place, so that a crop shows where it was cut.
    frames = torch.zeros(2, 20, 28, 3, dtype=torch.uint8)
    frames[..., 0] = torch.arange(20).view(1, 20, 1)
    frames[..., 1] = torch.arange(28).view(1, 1, 28)
    frames[..., 2] = torch.arange(2).view(2, 1, 1)

    def places(num_crops: int) -> list[tuple[int, ...]]:
        crops = spatial.test_crops(frames, 8, num_crops, short_side=20)
        assert crops.shape == (num_crops * 2, 3, 8, 8)
        assert crops.is_contiguous(memory_format=torch.channels_last)
        return [tuple(crop[:, 0, 0].tolist()) for crop in crops]

    # (20 - 8) // 4 = 3 and (28 - 8) // 4 = 5; third number: the frame
    assert places(1) == [(6, 10, 0), (6, 10, 1)]
    assert places(3) == [(6, 0, 0), (6, 0, 1), (6, 20, 0), (6, 20, 1), (6, 10, 0), (6, 10, 1)]
    five = [(0, 0), (0, 20), (12, 0), (12, 20), (6, 10)]
    assert places(5) == [(*place, frame) for place in five for frame in range(2)]
    ten = [(top, left + mirror) for top, left in five for mirror in (0, 7)]
    assert places(10) == [(*place, frame) for place in ten for frame in range(2)]


def test_short_side_is_256_for_224_and_the_input_otherwise() -> None:
    frames = smooth_frames(1, 60, 80)
    assert spatial.test_crops(frames, 48, 1).equal(spatial.test_crops(frames, 48, 1, short_side=48))
    assert spatial.test_crops(frames, 224, 1).equal(spatial.test_crops(frames, 224, 1, short_side=256))
    assert not spatial.test_crops(frames, 48, 1).equal(spatial.test_crops(frames, 48, 1, short_side=56))


@settings(deadline=None, max_examples=50)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    size=st.integers(1, 40),
    more=st.integers(0, 10),
    num_crops=st.sampled_from([1, 3, 5, 10]),
)
def test_any_frame_gives_square_crops(height: int, width: int, size: int, more: int, num_crops: int) -> None:
    frames = torch.full((2, height, width, 3), 200, dtype=torch.uint8)
    crops = spatial.test_crops(frames, size, num_crops, short_side=size + more)
    assert crops.shape == (num_crops * 2, 3, size, size)
    assert (crops == 200).all()


def test_bad_crops_are_refused() -> None:
    frames = smooth_frames(1, 30, 30)
    with pytest.raises(ValueError, match="num_crops"):
        spatial.test_crops(frames, 16, 4)
    with pytest.raises(ValueError, match="input_size"):
        spatial.test_crops(frames, 16, 1, short_side=15)
    with pytest.raises(ValueError, match="input_size"):
        spatial.test_crops(frames, 0, 1)


@settings(deadline=None)
@given(
    height=st.integers(1, 2000),
    width=st.integers(1, 2000),
    seed=st.integers(0, 2**32),
    min_area=st.floats(0.01, 1.0),
)
def test_train_crop_lies_inside(height: int, width: int, seed: int, min_area: float) -> None:
    crop = draw_train_crop(np.random.default_rng(seed), height, width, min_area=min_area)
    assert crop == draw_train_crop(np.random.default_rng(seed), height, width, min_area=min_area)
    assert crop.top >= 0
    assert crop.left >= 0
    assert 1 <= crop.height <= height - crop.top
    assert 1 <= crop.width <= width - crop.left


def test_train_crop_has_the_published_distribution() -> None:
    rng = np.random.default_rng(0)
    crops = [draw_train_crop(rng, 256, 340) for _ in range(4000)]
    area = np.array([c.height * c.width / (256 * 340) for c in crops])
    ratio = np.array([c.width / c.height for c in crops])
    assert 0.079 < area.min() < 0.09
    assert area.max() > 0.8
    assert 0.74 < ratio.min() < 0.77
    assert 1.3 < ratio.max() < 1.35
    assert abs(np.mean([c.flip for c in crops]) - 0.5) < 0.03
    assert abs(np.mean([draw_gray(rng, 0.2) for _ in range(4000)]) - 0.2) < 0.03
    small = np.array([(c.top / (256 - c.height), c.left / (340 - c.width)) for c in crops if c.height < 200])
    assert np.abs(small.mean(0) - 0.5).max() < 0.03


def test_train_crop_probabilities_and_fallback() -> None:
    rng = np.random.default_rng(0)
    crops = [draw_train_crop(rng, 40, 40, flip=0.0, grayscale=True) for _ in range(50)]
    assert not any(c.flip for c in crops)
    assert all(c.grayscale for c in crops)
    # No window of these ratios fits a strip: the largest square is taken.
    strips = [draw_train_crop(rng, 10, 1000, min_area=0.9) for _ in range(50)]
    assert {(c.height, c.width, c.top) for c in strips} == {(10, 10, 0)}
    assert max(c.left for c in strips) > 500
    for bad in ({"min_area": 0.0}, {"min_area": 1.5}):
        with pytest.raises(ValueError, match="out of range"):
            draw_train_crop(rng, 40, 40, **bad)
    with pytest.raises(ValueError, match="out of range"):
        draw_train_crop(rng, 0, 40)


def test_train_views_agree_with_pil() -> None:
    frames = smooth_frames(3, 70, 90)
    crop = TrainCrop(top=5, left=11, height=50, width=61, flip=True)
    views = train_views(frames, crop, 32)
    assert views.shape == (3, 3, 32, 32)
    assert views.is_contiguous(memory_format=torch.channels_last)
    box = (11, 5, 72, 55)
    for frame, view in zip(frames, views, strict=True):
        image = Image.fromarray(frame.numpy()).crop(box).resize((32, 32), Image.Resampling.BILINEAR)
        expected = np.asarray(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
        assert difference(view.permute(1, 2, 0), torch.from_numpy(expected.copy())).max() <= 2


def test_gray_agrees_with_pil() -> None:
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3), dtype=np.uint8))
    views = train_views(frames, TrainCrop(0, 0, 24, 24, grayscale=True), 24)
    expected = np.stack([np.asarray(Image.fromarray(f.numpy()).convert("L")) for f in frames])
    for channel in range(3):
        assert views[:, channel].equal(torch.from_numpy(expected))


def test_one_draw_serves_the_whole_clip() -> None:
    frame = smooth_frames(1, 50, 60)
    clip = frame.expand(4, -1, -1, -1)
    views = train_views(clip, draw_train_crop(np.random.default_rng(3), 50, 60, grayscale=True), 16)
    assert all(view.equal(views[0]) for view in views)


@pytest.mark.parametrize("crop", [TrainCrop(0, 0, 41, 10), TrainCrop(0, 45, 10, 10), TrainCrop(-1, 0, 10, 10)])
def test_window_outside_is_refused(crop: TrainCrop) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        train_views(smooth_frames(1, 40, 50), crop, 16)


@pytest.mark.parametrize("channels_last", [False, True])
def test_normalize(channels_last: bool) -> None:
    images = torch.randint(0, 256, (2, 5, 3, 6, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    if channels_last:
        images = images.movedim(2, -1).contiguous().movedim(-1, 2)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    before = images.clone()
    torch.testing.assert_close(normalize(images), (images / 255 - mean) / std, atol=2e-6, rtol=0, check_stride=False)
    assert normalize(images).stride() == images.stride()
    assert images.equal(before)
