"""Recognise any video file, with any class names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from bike.data.spatial import test_crops
from bike.data.temporal import test_indices
from bike.errors import BikeError, DataError, first_few, one_line
from bike.evaluate.views import video_scores
from bike.files import existing_file
from bike.model.choose import agree, check_input_size, load_video_model
from bike.model.scorer import Scorer
from bike.params import Params, Views
from bike.runtime.distributed import join_world
from bike.video.decode import Decoder, check_decoder, decode_frames, probe_video


@dataclass(frozen=True, slots=True)
class Guess:
    """A class of a prediction.

    Attributes:
        label: number of the class, from 0.
        name: its name.
        probability: from the cosines times the model's own scale, averaged over views; 0 to 1.
    """

    label: int
    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class FrameWeight:
    """How much a frame counted.

    Attributes:
        frame: its number in the video, from 0.
        seconds: its time.
        weight: its share in the view of the best class, 0 to 1.
    """

    frame: int
    seconds: float
    weight: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a video shows.

    Attributes:
        video: as given.
        frames: number of frames that decode.
        seconds: its length.
        guesses: best classes first, ranked as ``bike eval`` ranks them.
        saliency: of the first clip's frames, centre crop.
        error: why there is no prediction; empty when there is one.
    """

    video: str
    frames: int = 0
    seconds: float = 0.0
    guesses: tuple[Guess, ...] = ()
    saliency: tuple[FrameWeight, ...] = ()
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON file; ``error`` only where there is one."""
        values = asdict(self)
        return values if self.error else {name: value for name, value in values.items() if name != "error"}


def predict_videos(
    params: Params,
    videos: Sequence[Path | str],
    names: Sequence[str] | None = None,
    *,
    checkpoint: Path | str | None = None,
    weights: Path | str | None = None,
    views: Views | None = None,
    top_k: int = 5,
    timeout_seconds: float = 60.0,
    decoder: str = "pyav",
    device: str | None = None,
) -> Iterator[Prediction]:
    """Recognise videos one after another.

    Each is decoded in a helper process with a time limit. A video that can't be read gives a prediction with ``error``;
    the others go on.

    Args:
        params: section ``model`` (frames, sizes, prompt; what the file leaves out is the checkpoint's).
        videos: files of any format.
        names: class names, at least two, no two alike; None takes those that the checkpoint was trained for.
        checkpoint: trained video branch; None takes CLIP without a head.
        weights: of that CLIP, official name or file; None takes ``model.weights``.
        views: clips and crops; None for one of each.
        top_k: guesses for each video.
        timeout_seconds: for decoding one video.
        decoder: ``pyav`` or ``decord``.
        device: ``cpu``, ``cuda``, ``cuda:1``; None takes a GPU where there is one.

    Raises:
        BikeError: no videos, a file that is not there, bad class names, or a model or decoder that can't be used.
    """
    backend = check_decoder(decoder)
    if not videos:
        raise BikeError("No videos. Name at least one file.")
    files = [existing_file(video) for video in videos]
    model = load_video_model(checkpoint, weights or params.model.weights)
    settings, _ = agree(params.model, model)
    params = params.model_copy(update={"model": settings})
    check_input_size(settings, model.encoder)
    if names is None:
        if model.contract is None:
            raise BikeError(
                f"{model.file}: doesn't say which classes it was trained for. Name them with --labels or --classes."
            )
        names = model.contract.classes
    _check_names(names)

    def predict_all() -> Iterator[Prediction]:  # a generator of its own, so that bad input is named at the call
        with join_world(device=device, threads=params.evaluate.threads) as world:
            scorer = Scorer(model.encoder.to(world.device), model.head.to(world.device), names, settings.prompt)
            for file in files:
                try:
                    yield _predict(params, file, scorer, views or Views(), top_k, timeout_seconds, backend)
                except DataError as error:
                    yield Prediction(str(file), error=one_line(error))

    return predict_all()


def _check_names(names: Sequence[str]) -> None:
    if len(names) < 2:
        raise DataError(f"Class names: at least two are needed (got {len(names)}). Give more, such as --classes 'a,b'.")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or not all(name.strip() for name in names):
        raise DataError(
            f"Class names: duplicate or empty (got {first_few(repeated or ['an empty one'])}). Give each class once."
        )


def _predict(
    params: Params, file: Path, scorer: Scorer, views: Views, top_k: int, timeout_seconds: float, decoder: Decoder
) -> Prediction:
    facts = probe_video(file, timeout_seconds=timeout_seconds)
    indices = test_indices(facts.frames, params.model.frames, views.clips, views.dense)
    size = scorer.encoder.input_size
    # Frames of the height that extraction stores, so that a prediction agrees with an evaluation of the same video.
    stored = max(params.extract.short_side, params.model.short_side or size)
    pictures = decode_frames(file, indices, backend=decoder, short_side=stored, timeout_seconds=timeout_seconds)
    crops = test_crops(torch.from_numpy(pictures), size, views.crops, short_side=params.model.short_side)
    features = scorer.features(crops.view(1, views.crops * views.clips, params.model.frames, 3, size, size))
    logits = scorer.logits(features)[0]
    if not logits.isfinite().all():
        raise DataError(
            f"{file}: its scores are not numbers (NaN or infinity). Look at the weights with `bike weights inspect`."
        )
    # Ranked by the published scores, which are too flat to be read as probabilities: those have the model's own scale.
    order = video_scores(logits, len(logits))[0].sort(descending=True, stable=True).indices[:top_k].tolist()
    probabilities = (scorer.encoder.logit_scale.detach().exp() * logits).softmax(1).mean(0).tolist()
    # Views are crop-major. The centre comes last of three and five crops; ten are those five, each with its mirror.
    centre = {1: 0, 3: 2, 5: 4, 10: 8}[views.crops] * views.clips
    weights = scorer.saliency(features[:, centre], torch.tensor(order[:1]))[0]
    seconds = 1 / facts.fps if facts.fps > 0 else 0.0
    return Prediction(
        str(file),
        facts.frames,
        round(facts.frames * seconds, 3),
        tuple(Guess(label, scorer.names[label], probabilities[label]) for label in order),
        tuple(
            FrameWeight(index, round(index * seconds, 3), weight)
            for index, weight in zip(indices[: params.model.frames], weights.tolist(), strict=True)
        ),
    )
