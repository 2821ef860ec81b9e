"""Expected hours of a published row on GPUs, from the arithmetic of its model and the lengths of its lists."""

from __future__ import annotations

from bike.project.dataset import load_datasets
from bike.zoo import Preset


def expected_hours(preset: Preset, *, gpus: int = 8, tflops: float = 60.0) -> float:
    """Expected hours of training and evaluation (of evaluation alone, for zero-shot) from the arithmetic alone.

    Args:
        preset: the preset.
        gpus: how many.
        tflops: what one GPU sustains on this model, in TFLOP/s; 60 is about half of a V100's fp16 peak.
    """
    lists = load_datasets()[preset.dataset].lists_for(preset.task)
    params = preset.params
    flops = preset.image_flops * params.model.frames
    protocol = next(iter(params.evaluate.views.values()))
    total = sum(lists.expected) * protocol.clips * protocol.crops * flops
    # A backward pass costs about two forward ones. Few-shot lists are repeated to the full one's length.
    total += 3 * params.train.epochs * (lists.expected_train or 0) * flops
    return total / (gpus * tflops * 1e12) / 3600
