"""The schema of ``params.yaml``: every number of an experiment, with its range. Unknown keys are errors."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from bike.errors import ParamsError
from bike.files import read_text
from bike.files.parse import parse_yaml
from bike.trees.overrides import merge, overrides
from bike.trees.sections import Section, validated, variable_of

log = logging.getLogger("bike")
Policy = Literal["error", "drop", "keep"]
File = Annotated[str, AfterValidator(os.path.expanduser)]  # no shell was there to put a folder in the place of ~
Mismatch = Literal["frames", "short_side", "prompt", "interaction", "head", "weights", "start_from", "classes", "top_k"]


def _one_place(prompt: str) -> str:
    if prompt.count("{}") != 1:
        raise ValueError("needs exactly one {} where the class name or the attributes go")
    return prompt


Prompt = Annotated[str, AfterValidator(_one_place)]


class DemoData(Section):
    """The generated data set."""

    seed: int = Field(0, ge=0)  # another data set of the same kind
    train_per_class: int = Field(40, ge=1)  # training videos of each class
    val_per_class: int = Field(4, ge=1)  # validation videos of each class
    test_per_class: int = Field(10, ge=1)  # test videos of each class
    broken: bool = True  # add damaged files that the pipeline must reject by name


class Extract(Section):
    """Videos to frame packs."""

    short_side: int = Field(256, ge=16, le=4096)  # px; smaller videos are not enlarged
    fps: float | None = Field(None, gt=0, le=240)  # None keeps the video's own times
    quality: int = Field(2, ge=1, le=31)  # ffmpeg's scale, 2 is about JPEG quality 90
    timeout_seconds: float = Field(60.0, gt=0)  # of decoding; a video that takes longer is rejected
    backend: Literal["pyav", "ffmpeg"] = "pyav"  # pyav, or one ffmpeg process for each video
    keep_partial: bool = False  # keep the sound beginning of a damaged video
    frames_per_video: int | None = Field(None, ge=1, le=10_000)  # evenly spaced; None: all


class Annotate(Section):
    """Annotation files to lists, and what to do with each kind of finding."""

    min_frames: int = Field(8, ge=1)  # a sample of fewer is too short
    missing: Policy = "drop"  # annotated, but there is no such video
    unannotated: Policy = "drop"  # a video that no annotation names
    rejected: Policy = "drop"  # a video that extraction could not read
    too_short: Policy = "drop"  # a sample of fewer frames than min_frames
    past_end: Policy = "keep"  # times outside the video; keep moves them into it
    duplicate: Policy = "error"  # the same video twice
    near_duplicate: Policy = "keep"  # a video that looks like another one
    no_name: Policy = "error"  # a label that is not among the class names
    spelling: Policy = "keep"  # names that differ in case, blanks, `_` or `-` only
    shots: int | None = Field(None, ge=1)  # few-shot: training videos of each class; None: all
    shots_seed: int = Field(0, ge=0)  # draws those videos
    classes: Literal["all", "present"] = "all"  # present: those of an incomplete copy that have videos
    train_classes: Literal["all", "first_half"] = "all"  # first_half: the others are novel to the model
    prompt_names: Literal["readable", "published"] = "readable"  # class names as words, or as they were published


class Shard(Section):
    """Frame packs to tar shards."""

    max_size_mb: float = Field(512.0, gt=0)  # most of a tar, in 10^6 bytes; a larger video has one for itself
    frames_per_video: int | None = Field(None, ge=1, le=10_000)  # None: all that extraction kept
    payload: Literal["mjpg", "mp4"] = "mjpg"  # frames as JPEGs, or the video files as they are


class Pretrain(Section):
    """A small CLIP of the demo, in place of OpenAI's weights."""

    seed: int = Field(0, ge=0)  # of weights, stills and their order
    threads: int = Field(2, ge=1)  # of the CPU; they decide the order of sums
    embed_dim: int = Field(64, ge=8)  # length of the features
    resolution: int = Field(32, ge=8)  # px of its pictures, which are square
    patch_size: int = Field(8, ge=2)  # px; one token of the vision tower each
    vision_width: int = Field(128, ge=64)  # channels of the vision tower
    vision_layers: int = Field(3, ge=1)  # blocks of the vision tower
    text_width: int = Field(64, ge=64)  # channels of the text tower
    text_layers: int = Field(2, ge=1)  # blocks of the text tower
    num_images: int = Field(12000, ge=16)  # stills that are rendered
    steps: int = Field(1000, ge=1)  # updates of the weights
    batch_size: int = Field(96, ge=2)  # stills a step
    lr: float = Field(1e-3, gt=0, lt=1)  # highest learning rate
    weight_decay: float = Field(0.05, ge=0, lt=1)  # AdamW's
    warmup_steps: int = Field(50, ge=0)  # steps in which the rate rises
    feature_norm: float = Field(1.0, gt=0)  # mean length of picture features in the file; cosines do not depend on it


class Model(Section):
    """The encoder and how frames reach it. ``train`` and ``evaluate`` share these."""

    weights: File = "ViT-B/32"  # an official name or a file
    frames: int = Field(8, ge=1, le=77)  # of one clip
    short_side: int | None = Field(None, ge=8)  # px before cropping; None: 256 for 224, otherwise the input size
    temporal: Literal["none", "transf"] = "transf"  # head over the frames: none, or a transformer
    interaction: Literal["dp", "vcs"] = "vcs"  # frames meet words by mean, or by concept spotting
    prompt: Prompt = "This is a video about {}"  # the text made of a class name
    start_from: File | None = None  # a released checkpoint whose encoder and head training starts from
    allow_mismatch: list[Mismatch] = []  # what may contradict the checkpoint; the metrics tell


class Attributes(Section):
    """The attribute corpus: which phrases of the lexicon describe a video."""

    top_k: int = Field(5, ge=1, le=50)  # phrases kept for each video
    frames: int = Field(8, ge=1)  # drawn from each video
    prompt: Prompt = "This is a video about {}"  # the sentence made of a video's phrases
    threads: int | None = Field(None, ge=1)  # of the CPU; they decide the order of sums; None: torch's
    batch_size: int = Field(32, ge=1)  # videos at a time
    weights: File | None = None  # another CLIP for the corpus; None: model.weights


class Optimisation(Section):
    """What training either branch needs: the whole of ``train_attributes``."""

    seed: int = Field(0, ge=0)  # of new weights, order, frames and crops
    threads: int | None = Field(None, ge=1)  # of the CPU, per process; they decide the order of sums; None: torch's
    epochs: int = Field(30, ge=1)  # passes over the training list
    warmup_epochs: float = Field(5.0, ge=0)  # in which the rate rises; below epochs
    batch_size: int = Field(256, ge=2)  # clips a step, over all processes
    accumulate: int = Field(1, ge=1)  # parts that a batch is computed in; saves memory, same loss
    lr: float = Field(5e-5, gt=0, lt=1)  # highest learning rate; goes with the batch size
    clip_ratio: float = Field(0.1, ge=0, le=10)  # the rate of CLIP's own weights, as a share of lr
    weight_decay: float = Field(0.2, ge=0, lt=1)  # AdamW's
    loss: Literal["nce", "ds"] = "nce"  # nce, or the dual softmax (arXiv 2109.04290)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"  # auto: what the device is fast at
    validate_every: int = Field(1, ge=1)  # epochs between validations
    lr_every_steps: int = Field(10, ge=1)  # steps between changes of the rate; published: on steps 0, 9, 19, …

    @model_validator(mode="after")
    def _warm_up_ends(self) -> Optimisation:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs ({self.warmup_epochs:g}) must be below epochs ({self.epochs}), or the rate never "
                "reaches lr; state both"
            )
        return self


class Sampling(Section):
    """Which frames and pixels of a video an epoch sees."""

    dense: bool = False  # frames from a window of 128 in place of the whole video
    augment: bool = True  # random window, mirroring, gray; false: the centre crop
    min_area: float = Field(0.08, gt=0, le=1)  # smallest share of the picture that a training crop may have
    grayscale: float = Field(0.2, ge=0, le=1)  # probability that a clip loses its colour
    flip: float = Field(0.5, ge=0, le=1)  # probability that a clip is mirrored; 0 where left and right matter


class Train(Optimisation, Sampling):
    """Training of the video branch."""

    fix_text: bool = True  # leave the text tower as it came
    checkpointing: bool = False  # recompute activations: less memory, more time
    compile: bool = False  # run the model through torch.compile


class Views(Section):
    """A view protocol: temporal clips × spatial crops."""

    clips: int = Field(1, ge=1)  # clips of a video
    crops: Literal[1, 3, 5, 10] = 1  # 1: centre; 3: left, right, centre; 5: corners and centre; 10: those, mirrored too
    dense: bool = False  # clips are windows of 128 frames


class Evaluate(Section):
    """Multi-view evaluation."""

    threads: int | None = Field(None, ge=1)  # of the CPU; they decide the order of sums; None: torch's
    batch_size: int = Field(8, ge=1)  # videos
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"  # auto: what the device is fast at
    views: dict[str, Views] = {"1x1": Views(), "4x3": Views(clips=4, crops=3)}  # protocols by name


class ZeroShot(Section):
    """Zero-shot protocol."""

    half_class_repeats: int = Field(10, ge=1)  # random halves of the classes that are scored


class Fuse(Section):
    """Fusion of the two branches."""

    video_weight: float = Field(0.7, ge=0, le=1)  # of the video branch's scores; the attribute branch has the rest


class Report(Section):
    """The page."""

    clips: int = Field(6, ge=0)  # test clips shown with their saliency
    seed: int = Field(0, ge=0)  # which test clips these are
    order_pairs: list[tuple[str, str]] = []  # class names that only the order of frames tells apart


class Params(Section):
    """The whole of ``params.yaml``. Sections left out take their defaults."""

    numerics: Literal["portable", "fast"] = "fast"  # portable: only what x86-64 processors with AVX2 share
    demo_data: DemoData = DemoData()
    extract: Extract = Extract()
    annotate: Annotate = Annotate()
    shard: Shard = Shard()
    pretrain: Pretrain = Pretrain()
    pretrain_strong: Pretrain = Pretrain(resolution=64, patch_size=16)
    model: Model = Model()
    attributes: Attributes = Attributes()
    train: Train = Train()
    train_attributes: Optimisation = Optimisation()
    evaluate: Evaluate = Evaluate()
    zeroshot: ZeroShot = ZeroShot()
    fuse: Fuse = Fuse()
    report: Report = Report()

    @model_validator(mode="after")
    def _portable_threads_are_stated(self) -> Params:
        stages = ("attributes", "train", "train_attributes", "evaluate")
        free = [name for name in stages if getattr(self, name).threads is None]
        if self.numerics == "portable" and free:
            raise ValueError(f"numerics: portable needs a number of threads; state {'.threads, '.join(free)}.threads")
        return self


class Machine(Section):
    """What a machine decides: no result depends on it, so it is neither in ``params.yaml`` nor pinned."""

    launch: str = "python"  # of training stages; `torchrun --standalone --nproc-per-node 8` for eight processes
    device: str | None = Field(None, pattern=r"^(cpu|cuda(:\d+)?)$", description="cpu, cuda or cuda:N")  # None: a GPU
    workers: int = Field(2, ge=0)  # processes of the loader
    jobs: int | None = Field(None, ge=1)  # processes of extraction and sharding, models at a time; None: one per core
    videos: File | None = None  # where the videos of a project's media.csv are


def load_machine(path: Path | str = "machine.yaml") -> Machine:
    """Settings of this machine: a YAML file that git and DVC ignore, and over it ``BIKE_LAUNCH``, ``BIKE_DEVICE``,
    ``BIKE_WORKERS``, ``BIKE_JOBS`` and ``BIKE_VIDEOS``; a file that is not there sets nothing.

    Raises:
        ParamsError: the file is not YAML, or has an unknown key or a bad value; each is named.
    """
    tree = read_tree(path) if Path(path).exists() else {}
    validated(Machine, tree, str(path))
    over = {name: value for name in Machine.model_fields if (value := os.environ.get(variable_of(name)))}
    return validated(Machine, tree | over, ", ".join(map(variable_of, over)))


def load_params(path: Path | str = "params.yaml", settings: Sequence[str] = ()) -> Params:
    """Read and validate a params file (YAML 1.2, as DVC reads it), or raise a ParamsError that names each fault.

    Args:
        path: the file.
        settings: ``train.lr=1e-5`` …, over it.
    """
    return parse_params(merge(read_tree(path), overrides(settings)), f"{path}, --set" if settings else str(path))


def read_tree(path: Path | str) -> dict[str, Any]:
    """Keys and values of a YAML 1.2 file, none for an empty one; a ParamsError where it has something else."""
    tree = parse_yaml(read_text(path), path)
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ParamsError(f"{path}: keys are needed at top level (got {type(tree).__name__}).")
    return tree


def load_params_or_defaults(path: Path | str | None, settings: Sequence[str] = ()) -> Params:
    """As :func:`load_params`; the published settings hold for None, and where no ``params.yaml`` is in this folder."""
    if path is None:
        return parse_params(overrides(settings), "--set")
    default = Path(path) == Path("params.yaml")
    if default and not Path(path).exists():
        log.info("no params.yaml here: the published settings are used")
        return parse_params(overrides(settings), "--set")
    try:
        return load_params(path, settings)
    except ParamsError as error:
        if default and set(read_tree(path)) - set(Params.model_fields):
            raise ParamsError(f"{error} If the file is another project's, name yours with --params.") from None
        raise


def parse_params(tree: dict[str, Any], source: str) -> Params:
    """Validate a tree of sections; ``source`` names it in errors. Keys that begin with ``x-`` are for anchors."""
    return validated(Params, {key: value for key, value in tree.items() if not str(key).startswith("x-")}, source)
