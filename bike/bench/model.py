"""Our model against the plain one of :mod:`bike.bench.baseline`, in one run, taken in turns."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from bike.bench.baseline import PlainEncoder, PlainHead
from bike.bench.process import process_mib
from bike.bench.results import Measurement, in_turns, ratio_table, write_report
from bike.errors import BikeError, nearest
from bike.model.encoders import Encoder, build, encode_prompts
from bike.model.heads import VideoHead
from bike.model.layers.architecture import OFFICIAL, Architecture
from bike.model.scorer import autocast
from bike.progress import progress
from bike.train.loss import contrastive_loss
from bike.train.optim import build_optimizer
from bike.workers.worker import DiedError, Worker

BASELINE = "baseline"
_TINY = {"embed_dim": 64, "vision_width": 64, "text_width": 64, "vision_layers": 2, "text_layers": 2}
TINY = Architecture(**_TINY, input_size=32, patch_size=8, vocab_size=512)
SIZES = {"tiny": TINY, **{name: shape for name, shape in OFFICIAL.items() if shape.patch_size}}


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is computed."""

    size: str = "ViT-B/32"  # an official vision transformer, or `tiny`
    device: str = "cpu"  # or `cuda`
    videos: int = 2  # clips in a batch
    frames: int = 8  # in a clip
    classes: int = 400  # in evaluation; training compares with the batch's own captions
    threads: int | None = None  # CPU threads; None leaves torch's choice


@dataclass(frozen=True)
class Variant:
    """A way to compute the same numbers."""

    name: str  # in the table
    ours: bool = True  # our model, or the plain one
    checkpointing: bool = False  # recompute activations (the plain one always does)
    dtype: torch.dtype | None = None  # for `autocast`; None for fp32
    compiled: bool = False  # `torch.compile` of the vision tower


def variants(device: str) -> list[Variant]:
    """What is compared on a device: the plain model first."""
    if device == "cpu":
        plain = Variant(BASELINE, ours=False, checkpointing=True)
        return [plain, Variant("ours"), Variant("ours, checkpointing", checkpointing=True)]
    half = torch.bfloat16
    return [
        Variant(BASELINE, ours=False, checkpointing=True, dtype=torch.float16),
        Variant("ours, bf16", dtype=half),
        Variant("ours, bf16, checkpointing", checkpointing=True, dtype=half),
        Variant("ours, bf16, compiled", dtype=half, compiled=True),
    ]


class Runner:
    """A model in training and in evaluation, with data of the right shapes; all variants get the same."""

    def __init__(self, variant: Variant, work: Workload) -> None:
        torch.manual_seed(0)
        shape, device = SIZES[work.size], torch.device(work.device)
        encoder, head = build(shape), VideoHead(shape.embed_dim, shape.text_heads)
        self.device = device
        self.frames = torch.randn(work.videos, work.frames, 3, shape.input_size, shape.input_size).to(device)
        self.ids = _captions(work.videos, shape).to(device)
        self.labels = torch.arange(work.videos, device=device)
        self.tokens = torch.randn(work.classes, shape.context_length, shape.embed_dim).to(device)
        self.classes = torch.randn(work.classes, shape.embed_dim).to(device)
        self.encoder: Encoder | PlainEncoder = encoder
        self.head: VideoHead | PlainHead = head
        if not variant.ours:
            self.encoder, self.head = PlainEncoder(shape), PlainHead(shape.embed_dim, shape.text_heads)
            self.encoder.load_state_dict(encoder.state_dict())
            self.head.load_state_dict(head.state_dict())
        for name, parameter in self.encoder.named_parameters():
            parameter.requires_grad_(name.startswith("visual.") or name == "logit_scale")
        self.encoder.to(device)
        self.head.to(device)
        if isinstance(self.encoder, Encoder):
            # The text tower is frozen: ours encodes the captions once for all steps, the plain model in each step.
            self.captions = encode_prompts(self.encoder, self.ids)
        self.use(variant)
        if variant.compiled:
            self.encoder.visual.compile()
        self.optimizer = build_optimizer(self.encoder, self.head, lr=5e-5)
        if not variant.ours:
            groups = [{"params": group["params"], "lr": group["lr"]} for group in self.optimizer.param_groups]
            self.optimizer = torch.optim.AdamW(groups, weight_decay=0.2)
        # Small gradients vanish in fp16; bf16 has the range of fp32 and needs no scaling.
        self.scaler = torch.amp.GradScaler(device.type, enabled=variant.dtype == torch.float16)

    def use(self, variant: Variant) -> None:
        """Compute as another variant with the same weights: only checkpointing may differ."""
        self.variant = variant
        if isinstance(self.encoder, Encoder):
            self.encoder.set_checkpointing(variant.checkpointing)

    def train_step(self) -> Tensor:
        """One whole step: forward, loss, backward, optimiser. Returns the loss."""
        self.encoder.train()
        self.head.train()
        with autocast(self.device, self.variant.dtype):
            classes, tokens = self.captions if self.variant.ours else self.encoder.encode_text(self.ids)
            logits = self.encoder.logit_scale.exp() * self._logits(tokens, classes)
            loss = contrastive_loss(logits.float(), self.labels)
        self.optimizer.zero_grad()
        torch.autograd.backward(self.scaler.scale(loss))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss.detach()

    @torch.no_grad()
    def evaluate(self) -> Tensor:
        """Frames to logits with all classes, whose texts were encoded before."""
        self.encoder.eval()
        self.head.eval()
        with autocast(self.device, self.variant.dtype):
            return self._logits(self.tokens, self.classes).float()

    def _logits(self, tokens: Tensor, classes: Tensor) -> Tensor:
        features = self.encoder.encode_image(self.frames.flatten(0, 1))
        logits: Tensor = self.head(features.view(*self.frames.shape[:2], -1), tokens, classes)
        return logits


def bench_model(work: Workload, *, rounds: int, csv_path: Path, page: Path) -> list[str]:
    """Measure training step, evaluation and peak memory of every variant, into a CSV and the page's ``bench-model``.

    All variants live in one process and take turns, ``rounds`` times after one to warm up; peak memory is measured in a
    process of its own for each.

    Returns:
        The table in Markdown.

    Raises:
        BikeError: an unknown size, or a device that is not here.
    """
    if work.size not in SIZES:
        raise BikeError(f"size: unknown {work.size!r}.{nearest(work.size, SIZES)} Known: {', '.join(SIZES)}.")
    if work.device not in ("cpu", "cuda") or (work.device == "cuda" and not torch.cuda.is_available()):
        raise BikeError(f"device: {work.device!r} is not here; cpu always is, cuda where torch finds a GPU.")
    if min(work.videos, work.frames, work.classes, rounds) < 1 or work.videos < 2:
        raise BikeError("videos must be at least 2; frames, classes and rounds at least 1.")
    if work.threads is not None:
        torch.set_num_threads(work.threads)
    found = variants(work.device)
    rows = [Measurement("peak memory", each.name, 0, peak_mib(each, work), "MiB") for each in found]
    rows = _time(found, work, rounds) + rows
    lines = ratio_table(rows, BASELINE)
    write_report(csv_path, page, "bench-model", rows, [describe(work, rounds), "", *lines])
    return lines


def _time(found: Sequence[Variant], work: Workload, rounds: int) -> list[Measurement]:
    runners: dict[Variant, Runner] = {}
    rows = []
    with progress("bench model", 2 * (rounds + 1) * len(found), unit="runs") as job:
        for number, variant in in_turns(found, rounds, warm_up=True):
            key = replace(variant, name="", checkpointing=False)  # such variants share their weights, to save memory
            runner = runners.get(key) or runners.setdefault(key, Runner(variant, work))
            runner.use(variant)
            # Calls only queue work on a GPU.
            wait = torch.cuda.synchronize if work.device == "cuda" else torch.cpu.synchronize
            for measure, run in (("training step", runner.train_step), ("evaluation", runner.evaluate)):
                wait()
                start = time.perf_counter()
                run()
                wait()
                seconds = time.perf_counter() - start
                job.advance()
                if number >= 0:
                    rows.append(Measurement(measure, variant.name, number, seconds, "s"))
    return rows


def peak_mib(variant: Variant, work: Workload) -> float:
    """Highest memory of two training steps in a fresh process, less what it held before; on a GPU, the GPU's memory."""
    try:
        with Worker() as worker:
            return float(worker.call(_peak_mib, variant, work, timeout_seconds=math.inf))
    except DiedError as error:
        raise BikeError(
            f"{variant.name}: its process was killed, most likely out of memory ({error}). Use fewer videos."
        ) from error


def _peak_mib(variant: Variant, work: Workload) -> float:
    if work.threads is not None:
        torch.set_num_threads(work.threads)
    before = process_mib("VmRSS")
    runner = Runner(variant, work)
    for _ in range(2):  # the first step makes the optimiser's state, which the second one has beside its activations
        runner.train_step()
    if work.device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    return process_mib("VmHWM") - before


def describe(work: Workload, rounds: int) -> str:
    """One sentence: what was measured on what."""
    machine = torch.cuda.get_device_name() if work.device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    return (
        f"{work.size}, {work.videos} clips of {work.frames} frames, {work.classes} classes in evaluation, "
        f"{rounds} rounds; {machine}, Python {platform.python_version()}, torch {torch.__version__}."
    )


def _captions(num: int, shape: Architecture) -> Tensor:
    ids = torch.zeros(num, shape.context_length, dtype=torch.int64)
    ids[:, :8] = torch.randint(1, shape.vocab_size - 1, (num, 8))
    ids[:, 8] = shape.vocab_size - 1
    return ids
