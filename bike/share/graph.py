"""A video branch as an ONNX graph: frames in, cosines with every class out; compared with PyTorch before it is kept."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Literal, cast

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from bike.bench.results import in_turns
from bike.data.spatial import CLIP_MEAN, CLIP_STD
from bike.errors import BikeError, WeightsError
from bike.files import atomic_write, claim_file
from bike.model.choose import VideoModel, agree
from bike.model.heads import MAX_FRAMES
from bike.model.scorer import Scorer
from bike.params import Params

Features = Literal["constant", "input"]
TOLERANCE = 1e-4  # between cosines
ROUNDS = 7
SHAPES = ((1, 1), (2, 3))  # videos and frames that are compared, besides one video of the model's own frames


class Graph(nn.Module):
    """What is exported: :meth:`Scorer.score_frames` of one view; the classes' features are part of it, or inputs."""

    def __init__(self, scorer: Scorer, features: Features) -> None:
        super().__init__()
        self.visual, self.head = scorer.encoder.visual, scorer.head
        self.mean, self.std = (nn.Buffer(torch.tensor(values)[:, None, None]) for values in (CLIP_MEAN, CLIP_STD))
        texts = {"classes": scorer.classes} | ({"tokens": scorer.tokens} if scorer.head.interaction == "vcs" else {})
        self.inputs = texts if features == "input" else {}
        self.fixed = nn.ParameterList([] if features == "input" else texts.values())

    def forward(
        self,
        frames: UInt8[Tensor, "B T 3 S S"],
        classes: Float[Tensor, "K D"] | None = None,
        tokens: Float[Tensor, "K L D"] | None = None,
    ) -> Float[Tensor, "B K"]:
        """Cosines of each video with each class."""
        if classes is None:
            classes, tokens = self.fixed[0], self.fixed[1] if len(self.fixed) > 1 else None
        features = self.visual((frames.flatten(0, 1) / 255 - self.mean) / self.std)
        found: Tensor = self.head(features.view(*frames.shape[:2], -1), tokens, classes)
        return found


def export_onnx(
    params: Params,
    model: VideoModel,
    out: Path,
    names: Sequence[str] | None = None,
    *,
    features: Features = "constant",
    replace: bool = False,
) -> tuple[float, float] | None:
    """Write a video branch as an ONNX graph for any number of videos and frames (docs/sharing.md says what it takes).

    Args:
        params: section ``model``; what the file leaves out is the checkpoint's.
        model: the video branch, on the CPU.
        out: the file.
        names: class names; None takes those that the checkpoint was trained for.
        features: of the classes: ``constant``, or ``input``, which adds inputs ``classes`` (K, D) and, for ``vcs``,
            ``tokens`` (K, L, D), for any K.
        replace: whether a file at ``out`` may be thrown away.

    Returns:
        The largest difference of two cosines from PyTorch's, and PyTorch's median time for a video divided by
        onnxruntime's, both on this CPU; None where onnxruntime is not installed.

    Raises:
        BikeError: onnxscript is not installed, there are no class names, or ``out`` can't be written.
        WeightsError: the graph gives other numbers than PyTorch; no file is written.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise BikeError('onnxscript: not installed. Install the extra: pip install "bike-video[onnx]".') from error
    chosen, _ = agree(params.model, model)
    names = names or (model.contract.classes if model.contract else None)
    if names is None:
        raise BikeError(f"{model.file}: doesn't say which classes it was trained for. Name them with --labels.")
    with claim_file(out, inputs=[model.file], replace=replace), torch.no_grad():
        scorer = Scorer(model.encoder, model.head, names, chosen.prompt)
        about = {name: getattr(chosen, name) for name in ("frames", "short_side", "prompt")}
        about |= {"input_size": model.encoder.input_size, "logit_scale": float(model.encoder.logit_scale.exp())}
        about["classes"] = list(names) if features == "constant" else None
        graph = Graph(scorer, features).eval()
        content = _onnx(graph, model.encoder.input_size, json.dumps(about))
        found = _compare(content, graph, scorer, chosen.frames)
        if found is not None and not found[0] <= TOLERANCE:  # NaN is no agreement
            raise WeightsError(
                f"{model.file}: its graph differs from PyTorch by {found[0]:.1e} (allowed: {TOLERANCE:g}). "
                "Look at the weights with `bike weights inspect`."
            )
        with atomic_write(out) as file:
            file.write(content)
    return found


def _frames(videos: int, frames: int, size: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (videos, frames, 3, size, size), dtype=torch.uint8, generator=generator)


def _onnx(graph: Graph, size: int, about: str) -> bytes:
    """The file's bytes. Sizes of the example are no sizes of the graph: torch would complain of one that got fixed."""
    dim, names = torch.export.Dim, ["frames", *graph.inputs]
    shapes: tuple[dict[int, Any], ...] = ({0: dim("videos", max=1 << 16), 1: dim("frames", max=MAX_FRAMES)},)
    shapes += ({0: dim("classes", min=1, max=1 << 20)},) * len(graph.inputs)
    logging.disable(logging.WARNING)  # the exporter's account of each node
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                graph, (_frames(2, 3, size), *graph.inputs.values()), dynamic_shapes=shapes, strict=False
            )
            made = torch.onnx.export(
                program, input_names=names, output_names=["logits"], dynamic_shapes=shapes, dynamo=True, verbose=False
            )
    finally:
        logging.disable(logging.NOTSET)
    assert made is not None  # noqa: S101 (it is, where no file is named)
    for node in made.model.graph.all_nodes():  # where the code lay on this machine
        node.metadata_props.clear()
    made.model.metadata_props["bike"] = about
    return cast("bytes", made.model_proto.SerializeToString())


def _compare(content: bytes, graph: Graph, scorer: Scorer, frames: int) -> tuple[float, float] | None:
    """Both on the same random pictures, of several numbers of videos and frames."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    texts = {name: value.numpy() for name, value in graph.inputs.items()}

    def run(pictures: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"frames": pictures.numpy(), **texts})[0])

    def score(pictures: Tensor) -> Tensor:
        return scorer.score_frames(pictures[:, None])[:, 0]

    several = [_frames(*shape, scorer.encoder.input_size) for shape in (*SHAPES, (1, frames))]
    difference = max(float((run(pictures) - score(pictures)).abs().max()) for pictures in several)
    seconds: dict[object, list[float]] = {run: [], score: []}
    for _, program in in_turns((run, score), ROUNDS):
        start = time.perf_counter()
        program(several[-1])
        seconds[program].append(time.perf_counter() - start)
    return difference, median(seconds[score]) / median(seconds[run])
