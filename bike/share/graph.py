"""A video branch as an ONNX graph: frames in, cosines with every class out; compared with PyTorch before it is kept."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple, cast

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from bike.bench.results import in_turns
from bike.data.spatial import CLIP_MEAN, CLIP_STD
from bike.errors import BikeError, WeightsError
from bike.files import claim_file, write_bytes
from bike.model.choose import VideoModel, agree
from bike.model.heads import MAX_FRAMES
from bike.model.scorer import Scorer
from bike.params import Params

Features = Literal["constant", "input"]
TOLERANCE = 1e-4  # between cosines
ROUNDS = 7
SHAPES = ((1, 1), (2, 3))  # videos and frames that are compared, besides one video of the model's own frames


class Comparison(NamedTuple):
    """The graph beside PyTorch, on this machine's CPU."""

    difference: float  # largest between two cosines
    speed: float  # PyTorch's median time ÷ onnxruntime's, for one video


class Graph(nn.Module):
    """What is exported: :meth:`Scorer.score_frames` of one view, with pictures as bytes.

    Args:
        scorer: on the CPU.
        features: of the classes: part of the graph, or inputs of it.
    """

    def __init__(self, scorer: Scorer, features: Features) -> None:
        super().__init__()
        self.visual, self.head = scorer.encoder.visual, scorer.head
        self.mean, self.std = (nn.Buffer(torch.tensor(values)[:, None, None]) for values in (CLIP_MEAN, CLIP_STD))
        self.names = ["classes"] + ["tokens"] * (scorer.head.interaction == "vcs")
        self.texts = [getattr(scorer, name) for name in self.names]
        self.fixed = nn.ParameterList(self.texts if features == "constant" else [])

    def forward(
        self,
        frames: UInt8[Tensor, "B T 3 S S"],
        classes: Float[Tensor, "K D"] | None = None,
        tokens: Float[Tensor, "K L D"] | None = None,
    ) -> Float[Tensor, "B K"]:
        """Cosines of each video with each class."""
        if classes is None:
            classes, tokens = self.fixed[0], self.fixed[1] if len(self.fixed) > 1 else None
        pictures = (frames.flatten(0, 1) / 255 - self.mean) / self.std
        features = self.visual(pictures).view(*frames.shape[:2], -1)
        found: Tensor = self.head(features, tokens, classes)
        return found


def export_onnx(
    params: Params,
    model: VideoModel,
    out: Path,
    names: Sequence[str] | None = None,
    *,
    features: Features = "constant",
    inputs: Sequence[Path | str | None] = (),
    replace: bool = False,
) -> Comparison | None:
    """Write a video branch as an ONNX graph for any number of videos and frames.

    Its input ``frames`` is uint8 (B, T, 3, S, S), cropped as for an evaluation; its output ``logits`` is fp32 (B, K).
    What else a program needs to know is in the file's metadata, as JSON under ``bike``.

    Args:
        params: section ``model``; what the file leaves out is the checkpoint's.
        model: the video branch; its head decides whether there are token features.
        out: the file.
        names: class names; None takes those that the checkpoint was trained for.
        features: of the classes: ``constant``, or ``input``, which adds inputs ``classes`` (K, D) and, for ``vcs``,
            ``tokens`` (K, L, D), for any K.
        inputs: files that are read, which ``out`` must not be.
        replace: whether a file at ``out`` may be thrown away.

    Returns:
        How the graph compares with PyTorch; None where onnxruntime is not installed.

    Raises:
        BikeError: onnx or onnxscript is not installed, no class names, or ``out`` can't be written.
        WeightsError: the graph gives other numbers than PyTorch; no file is written.
    """
    _check_installed()
    chosen, _ = agree(params.model, model)
    names = names or (model.contract.classes if model.contract else None)
    if names is None:
        raise BikeError(f"{model.file}: doesn't say which classes it was trained for. Name them with --labels.")
    with claim_file(out, inputs=[model.file, *inputs], replace=replace), torch.no_grad():
        scorer = Scorer(model.encoder, model.head, names, chosen.prompt)
        about = {
            **{name: getattr(chosen, name) for name in ("frames", "short_side", "prompt")},
            "input_size": model.encoder.input_size,
            "logit_scale": float(model.encoder.logit_scale.exp()),
            "classes": list(names) if features == "constant" else None,
        }
        graph = Graph(scorer, features).eval()
        content = _onnx(graph, features, model.encoder.input_size, about)
        found = _compare(content, graph, features, scorer, chosen.frames)
        if found is not None and not found.difference <= TOLERANCE:  # NaN is no agreement
            raise WeightsError(
                f"{model.file}: its graph differs from PyTorch by {found.difference:.1e} (allowed: {TOLERANCE:g}). "
                "Look at the weights with `bike weights inspect`."
            )
        write_bytes(out, content)
    return found


def _check_installed() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise BikeError('onnx, onnxscript: not installed. Install them: pip install "bike-video[onnx]".') from error


def _frames(videos: int, frames: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (videos, frames, 3, size, size), dtype=torch.uint8, generator=generator)


def _onnx(graph: Graph, features: Features, size: int, about: Mapping[str, Any]) -> bytes:
    """The file's bytes. Sizes of the example are no sizes of the graph: torch would complain of one that got fixed."""
    dim = torch.export.Dim
    args: tuple[Tensor, ...] = (_frames(2, 3, size),)
    shapes: tuple[dict[int, Any], ...] = ({0: dim("videos", max=1 << 16), 1: dim("frames", max=MAX_FRAMES)},)
    if features == "input":
        classes = dim("classes", min=1, max=1 << 20)
        args += tuple(graph.texts)
        shapes += ({0: classes},) * len(graph.texts)
    names = ["frames", *(graph.names if features == "input" else [])]
    with _quiet():
        program = torch.export.export(graph, args, dynamic_shapes=shapes, strict=False)
        made = torch.onnx.export(
            program, input_names=names, output_names=["logits"], dynamic_shapes=shapes, dynamo=True, verbose=False
        )
    if made is None:
        raise WeightsError("The graph could not be made: torch gave none.")
    for node in made.model.graph.all_nodes():  # where the code lay on this machine
        node.metadata_props.clear()
    made.model.metadata_props["bike"] = json.dumps(about)
    return cast("bytes", made.model_proto.SerializeToString())


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's account of each node, and its remarks on packages that are not needed here."""
    loggers = {logging.getLogger(name): logging.ERROR for name in ("torch", "onnxscript", "onnx_ir")}
    before = {logger: logger.level for logger in loggers}
    try:
        for logger, level in loggers.items():
            logger.setLevel(level)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)


def _compare(content: bytes, graph: Graph, features: Features, scorer: Scorer, frames: int) -> Comparison | None:
    """Both on the same random pictures, of several numbers of videos and frames."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    texts = dict(zip(graph.names, graph.texts, strict=True)) if features == "input" else {}

    def run(pictures: Tensor) -> Tensor:
        found = session.run(None, {name: value.numpy() for name, value in {"frames": pictures, **texts}.items()})
        return torch.from_numpy(found[0])

    def score(pictures: Tensor) -> Tensor:
        return scorer.score_frames(pictures[:, None])[:, 0]

    differences = []
    for shape in ((1, frames), *SHAPES):
        pictures = _frames(*shape, scorer.encoder.input_size)
        differences.append(float((run(pictures) - score(pictures)).abs().max()))
    pictures = _frames(1, frames, scorer.encoder.input_size)
    return Comparison(max(differences), _ratio(score, run, pictures))


def _ratio(theirs: Callable[[Tensor], Tensor], ours: Callable[[Tensor], Tensor], pictures: Tensor) -> float:
    seconds: dict[Callable[[Tensor], Tensor], list[float]] = {theirs: [], ours: []}
    for number, program in in_turns((theirs, ours), ROUNDS, warm_up=True):
        start = time.perf_counter()
        program(pictures)
        if number >= 0:
            seconds[program].append(time.perf_counter() - start)
    return median(seconds[theirs]) / median(seconds[ours])
