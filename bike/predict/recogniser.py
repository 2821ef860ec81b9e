"""Recognise any video, with any class names: a model loaded once, one line from a video to an answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from bike.data.spatial import test_crops
from bike.data.temporal import test_indices
from bike.errors import BikeError, DataError, WeightsError
from bike.evaluate.views import video_scores
from bike.model.choose import VideoModel, agree, check_input_size, load_video_model
from bike.model.scorer import Scorer
from bike.params import Params, Views, parse_params
from bike.predict.footage import Footage
from bike.predict.inputs import check_classes, check_names
from bike.predict.result import FrameWeight, Guess, Prediction, Window
from bike.predict.windows import check_part, slide
from bike.progress import progress
from bike.runtime.distributed import join_world
from bike.video.decode import Decoder, Frames, VideoInput, check_decoder

FRAMES_AT_ONCE = 128  # of several windows: decoded and kept together


class Recogniser:
    """A video model with class names, for one video after another; :func:`load` makes one.

    Args:
        model: a trained video branch, or CLIP with a new head.
        params: section ``model`` (frames, sizes, prompt; what it leaves out is the model's own), and the size that
            ``extract`` stores frames in.
        names: class names, at least two, no two alike; None takes those that the model was trained for.
        device: where to compute.
        views: clips and crops; None for one of each.
        decoder: ``pyav`` or ``decord``.
        timeout_seconds: for each look at a video.

    Attributes:
        names: of the classes.
        num_frames: T, frames of a clip.

    Raises:
        BikeError: bad class names, a decoder that can't be used, or parameters that contradict the model.
    """

    def __init__(
        self,
        model: VideoModel,
        params: Params,
        names: Sequence[str] | None = None,
        *,
        device: torch.device,
        views: Views | None = None,
        decoder: str = "pyav",
        timeout_seconds: float = 60.0,
    ) -> None:
        self._decoder: Decoder = check_decoder(decoder)
        self._timeout_seconds, self._views = timeout_seconds, views or Views()
        settings, _ = agree(params.model, model)
        self._size, self._short_side = check_input_size(settings, model.encoder), settings.short_side
        # Frames of the height that extraction stores, so that a prediction agrees with an evaluation of the same video.
        self._stored = max(params.extract.short_side, settings.short_side or self._size)
        self.num_frames = settings.frames
        self.names = _class_names(model, names)
        self._scorer = Scorer(model.encoder.to(device), model.head.to(device), self.names, settings.prompt)

    def predict(
        self,
        video: VideoInput | Frames,
        top: int = 5,
        *,
        start: float | None = None,
        end: float | None = None,
        window: float | None = None,
        stride: float | None = None,
    ) -> Prediction:
        """Recognise a video.

        Args:
            video: a file, its bytes, or frames uint8 (T, H, W, 3), RGB, taken for 25 a second.
            top: how many guesses.
            start, end: the part to look at, seconds; None for the video's.
            window: length of windows that slide over it, seconds; None looks at it as one.
            stride: seconds from the start of one window to that of the next; None for ``window``.

        Raises:
            DataError: the video is unreadable, or ends before ``start``. ParamsError: times that make no sense.
            ValueError: frames of another form, or a ``top`` below 1.
        """
        check_part(start, end, window, stride)
        if top < 1:
            raise ValueError(f"top must be at least 1 (got {top})")
        footage = self._open(video)
        part = footage.part(start, end)
        if window is None:
            spans = [(float(footage.seconds[part.start]), float(footage.seconds[part.stop - 1]), part)]
        else:
            spans = slide(footage.seconds, part, window, stride)
        found, logits = self._look_at(footage, spans, top)
        looked_at = self._indices(part)[: self.num_frames] if window is None else []
        seconds = len(footage.seconds) / footage.fps if footage.fps > 0 else float(footage.seconds[-1])
        return Prediction(
            footage.name,
            frames=len(footage.seconds),
            seconds=round(seconds, 3),
            guesses=self._guesses(torch.cat(logits), top),
            saliency=found[0].saliency if window is None else (),
            looked_at=tuple(looked_at),
            times=tuple(round(float(footage.seconds[index]), 3) for index in looked_at),
            timeline=() if window is None else tuple(found),
        )

    def features(
        self, video: VideoInput | Frames, *, start: float | None = None, end: float | None = None
    ) -> Float32[Tensor, "V T D"]:
        """What the encoder makes of each frame: of V views (clips of each crop in turn), on the CPU, not normalised.

        Arguments and errors as for :meth:`predict`.
        """
        check_part(start, end, None, None)
        footage = self._open(video)
        indices = self._indices(footage.part(start, end))
        return self._scorer.features(self._crops(footage.frames(indices))[None])[0].cpu()

    def _open(self, video: VideoInput | Frames) -> Footage:
        return Footage(video, short_side=self._stored, decoder=self._decoder, timeout_seconds=self._timeout_seconds)

    def _indices(self, part: range) -> list[int]:
        views = self._views
        return test_indices(len(part), self.num_frames, views.clips, views.dense, first_frame=part.start)

    def _crops(self, pictures: Frames) -> Tensor:
        crops = test_crops(torch.from_numpy(pictures), self._size, self._views.crops, short_side=self._short_side)
        return crops.view(-1, self.num_frames, 3, self._size, self._size)

    def _look_at(
        self, footage: Footage, spans: list[tuple[float, float, range]], top: int
    ) -> tuple[list[Window], list[Tensor]]:
        """What each span shows, and its logits (V, K)."""
        found, logits = [], []
        at_once = max(1, FRAMES_AT_ONCE // (self.num_frames * self._views.clips))
        with progress("predict", len(spans), unit="windows") if len(spans) > 1 else nullcontext() as bar:
            for first in range(0, len(spans), at_once):
                some = spans[first : first + at_once]
                indices = [self._indices(frames) for _, _, frames in some]
                pictures = np.split(footage.frames(list(chain.from_iterable(indices))), len(some))
                crops = [self._crops(part) for part in pictures]
                # A single one keeps its order in memory, channels last.
                features = self._scorer.features(torch.stack(crops) if len(crops) > 1 else crops[0][None])
                scores = self._scorer.logits(features)
                if not scores.isfinite().all():
                    raise DataError(
                        f"{footage.name}: its scores are not numbers (NaN or infinity). "
                        "Look at the weights with `bike weights inspect`."
                    )
                for place, (start, end, _) in enumerate(some):
                    guesses = self._guesses(scores[place], top)
                    saliency = self._saliency(footage, features[place], guesses[0].label, indices[place])
                    found.append(Window(round(start, 3), round(end, 3), guesses, saliency))
                    logits.append(scores[place])
                if bar is not None:
                    bar.advance(len(some))
        return found, logits

    def _guesses(self, logits: Float32[Tensor, "V K"], top: int) -> tuple[Guess, ...]:
        # Ranked by the published scores, which are too flat to be read as probabilities: those have the model's own
        # scale.
        order = video_scores(logits, len(logits))[0].sort(descending=True, stable=True).indices[:top].tolist()
        probabilities = (self._scorer.encoder.logit_scale.detach().exp() * logits).softmax(1).mean(0).tolist()
        return tuple(Guess(label, self.names[label], probabilities[label]) for label in order)

    def _saliency(
        self, footage: Footage, features: Float32[Tensor, "V T D"], label: int, indices: list[int]
    ) -> tuple[FrameWeight, ...]:
        if self._scorer.head.interaction == "dp":
            return ()
        # Views are crop-major. The centre comes last of three and five crops; ten are those five, each with its mirror.
        centre = {1: 0, 3: 2, 5: 4, 10: 8}[self._views.crops] * self._views.clips
        weights = self._scorer.saliency(features[centre][None], torch.tensor([label]))[0].tolist()
        return tuple(
            FrameWeight(index, round(float(footage.seconds[index]), 3), weight)
            for index, weight in zip(indices[: self.num_frames], weights, strict=True)
        )


def load(
    model: Path | str,
    classes: Sequence[str] | None = None,
    *,
    device: str | None = None,
    views: Views | None = None,
    decoder: str = "pyav",
    timeout_seconds: float = 60.0,
    **settings: object,
) -> Recogniser:
    """A recogniser for any number of videos, loaded once.

    Args:
        model: a checkpoint, a folder that holds a model, an official name such as ``ViT-B/32``, or a file of CLIP's
            weights.
        classes: names, at least two, no two alike; None takes those that the model was trained for.
        device: ``cpu``, ``cuda``, ``cuda:1``; None takes a GPU where there is one.
        views: clips and crops; None for one of each.
        decoder: ``pyav`` or ``decord``.
        timeout_seconds: for each look at a video.
        **settings: of section ``model`` of ``params.yaml``, such as ``frames=16``; what is left out is the model's own.

    Raises:
        BikeError: bad class names, or a model, device or decoder that can't be used.
    """
    params = parse_params({"model": settings}, "bike.load")
    check_classes(model, classes)
    with join_world(device=device) as world:
        return Recogniser(
            _load_model(model),
            params,
            classes,
            device=world.device,
            views=views,
            decoder=decoder,
            timeout_seconds=timeout_seconds,
        )


def _load_model(source: Path | str) -> VideoModel:
    if not Path(source).exists():  # an official name, or the error says what can be named
        return load_video_model(None, source)
    try:
        return load_video_model(source)
    except BikeError as error:
        with suppress(BikeError):  # a file of CLIP alone says so in no other way
            if Path(source).is_dir() or isinstance(error, WeightsError):
                return load_video_model(None, source)
        raise


def _class_names(model: VideoModel, names: Sequence[str] | None) -> list[str]:
    if names is None:
        if model.contract is None:
            raise BikeError(
                f"{model.file}: doesn't say which classes it was trained for. Name them with --labels or --classes."
            )
        names = model.contract.classes
    return check_names(names)
