"""Our model against the plain one of :mod:`bike.bench.baseline`, in one run, taken in turns."""

from __future__ import annotations

import multiprocessing
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from bike.bench.baseline import PlainEncoder, PlainHead
from bike.bench.process import process_mib
from bike.bench.results import Measurement, table, write_rows, write_section
from bike.errors import BikeError, nearest
from bike.model.encoders import Encoder, build, encode_prompts
from bike.model.heads import VideoHead
from bike.model.layers.architecture import OFFICIAL, Architecture
from bike.progress import progress
from bike.train.loss import contrastive_loss
from bike.train.optim import build_optimizer

BASELINE = "baseline"
TINY = Architecture(
    embed_dim=64,
    input_size=32,
    vision_layers=2,
    vision_width=64,
    patch_size=8,
    text_width=64,
    text_layers=2,
    vocab_size=512,
)
SIZES = {"tiny": TINY, **{name: shape for name, shape in OFFICIAL.items() if shape.patch_size}}


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is computed.

    Attributes:
        size: an official vision transformer, or ``tiny``.
        device: ``cpu`` or ``cuda``.
        videos: clips in a batch.
        frames: frames in a clip.
        classes: classes in evaluation; training compares with the batch's own captions.
        threads: CPU threads; None leaves torch's choice.
    """

    size: str = "ViT-B/32"
    device: str = "cpu"
    videos: int = 2
    frames: int = 8
    classes: int = 400
    threads: int | None = None


@dataclass(frozen=True)
class Variant:
    """A way to compute the same numbers.

    Attributes:
        name: in the table.
        ours: our model, or the plain one.
        checkpointing: recompute activations (the plain one always does).
        dtype: for ``autocast``; None for fp32.
        compiled: ``torch.compile`` of the vision tower.
    """

    name: str
    ours: bool = True
    checkpointing: bool = False
    dtype: torch.dtype | None = None
    compiled: bool = False


def variants(device: str) -> list[Variant]:
    """What is compared on a device: the plain model first."""
    if device == "cpu":
        return [
            Variant(BASELINE, ours=False, checkpointing=True),
            Variant("ours"),
            Variant("ours, checkpointing", checkpointing=True),
        ]
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
        shape = SIZES[work.size]
        encoder, head = build(shape), VideoHead(shape.embed_dim, shape.text_heads)
        device = torch.device(work.device)
        size = shape.input_size
        self.device = device
        self.frames = torch.randn(work.videos, work.frames, 3, size, size).to(device)
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
            self.captions = encode_prompts(self.encoder, self.ids)
        self.become(variant)
        if variant.compiled:
            self.encoder.visual.compile()
        self.optimizer = build_optimizer(self.encoder, self.head, lr=5e-5)
        if not variant.ours:
            groups = [{"params": group["params"], "lr": group["lr"]} for group in self.optimizer.param_groups]
            self.optimizer = torch.optim.AdamW(groups, weight_decay=0.2)
        self.scaler = torch.amp.GradScaler(device.type, enabled=variant.dtype == torch.float16)

    def become(self, variant: Variant) -> None:
        """Take the part of another variant with the same weights: only checkpointing may differ."""
        self.variant = variant
        if isinstance(self.encoder, Encoder):
            self.encoder.set_checkpointing(variant.checkpointing)

    def train_step(self) -> Tensor:
        """One whole step: forward, loss, backward, optimiser. Returns the loss."""
        self._set_mode(training=True)
        with self._autocast():
            if self.variant.ours:
                classes, tokens = self.captions
            else:
                classes, tokens = self.encoder.encode_text(self.ids)
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
        self._set_mode(training=False)
        with self._autocast():
            return self._logits(self.tokens, self.classes).float()

    def _logits(self, tokens: Tensor, classes: Tensor) -> Tensor:
        features = self.encoder.encode_image(self.frames.flatten(0, 1))
        logits: Tensor = self.head(features.view(*self.frames.shape[:2], -1), tokens, classes)
        return logits

    def _set_mode(self, *, training: bool) -> None:
        modules: tuple[nn.Module, ...] = (self.encoder, self.head)
        for module in modules:
            if module.training != training:
                module.train(training)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.variant.dtype, enabled=self.variant.dtype is not None)


def bench_model(
    work: Workload,
    *,
    rounds: int = 5,
    csv_path: Path | str | None = None,
    page: Path | str | None = None,
) -> list[Measurement]:
    """Measure training step, evaluation and peak memory of every variant.

    All variants live in one process and take turns, each round in another order, so that whatever else the machine does
    falls on all of them; peak memory is measured in a process of its own for each.

    Args:
        work: what is computed.
        rounds: measured rounds, after one to warm up.
        csv_path: all measurements, if wanted.
        page: Markdown page whose section ``bench-model`` gets the table, if wanted.

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
    if csv_path is not None:
        write_rows(csv_path, rows)
    if page is not None:
        write_section(page, "bench-model", [describe(work, rounds), "", *table(rows, BASELINE)])
    return rows


def _time(found: Sequence[Variant], work: Workload, rounds: int) -> list[Measurement]:
    runners: dict[Variant, Runner] = {}
    rows = []
    with progress("bench model", 2 * (rounds + 1) * len(found), unit="runs") as job:
        for number in range(-1, rounds):
            for place in range(len(found)):
                variant = found[(place + number) % len(found)]
                key = replace(variant, name="", checkpointing=False)
                runner = runners.get(key) or runners.setdefault(key, Runner(variant, work))
                runner.become(variant)
                for measure, run in (("training step", runner.train_step), ("evaluation", runner.evaluate)):
                    seconds = _seconds(run, runner.device)
                    job.advance()
                    if number >= 0:
                        rows.append(Measurement(measure, variant.name, number, seconds, "s"))
    order = [variant.name for variant in found]
    return sorted(rows, key=lambda row: (row.measure != "training step", row.round, order.index(row.variant)))


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    start = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_mib(variant: Variant, work: Workload) -> float:
    """Highest memory of two training steps in a fresh process, less what it held before; on a GPU, the GPU's memory."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    try:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(_peak_mib, variant, work).result()
    except BrokenProcessPool as error:
        raise BikeError(
            f"{variant.name}: its process was killed, most likely for want of memory. Use fewer videos."
        ) from error


def _peak_mib(variant: Variant, work: Workload) -> float:
    if work.threads is not None:
        torch.set_num_threads(work.threads)
    before = process_mib("VmRSS")
    runner = Runner(variant, work)
    for _ in range(2):
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
