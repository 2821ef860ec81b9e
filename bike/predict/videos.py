"""Many videos, one after another: one that can't be read does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bike.errors import BikeError, DataError, one_line
from bike.files import existing_file
from bike.model.choose import load_video_model
from bike.params import Params, Views
from bike.predict.recogniser import Recogniser
from bike.predict.result import Prediction
from bike.predict.windows import check_part
from bike.runtime.distributed import join_world
from bike.video.decode import check_decoder
from bike.video.file import FoundVideo, VideoFile


def predict_videos(
    params: Params,
    videos: Sequence[Path | str | FoundVideo],
    names: Sequence[str] | None = None,
    *,
    checkpoint: Path | str | None = None,
    weights: Path | str | None = None,
    views: Views | None = None,
    top_k: int = 5,
    start: float | None = None,
    end: float | None = None,
    window: float | None = None,
    stride: float | None = None,
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
        start, end, window, stride: seconds, as for :meth:`Recogniser.predict`.
        timeout_seconds: for each look at a video.
        decoder: ``pyav`` or ``decord``.
        device: ``cpu``, ``cuda``, ``cuda:1``; None takes a GPU where there is one.

    Raises:
        BikeError: no videos, a file that is not there, bad class names, or a model or decoder that can't be used.
    """
    check_decoder(decoder)
    check_part(start, end, window, stride)
    if not videos:
        raise BikeError("No videos. Name at least one file.")
    found = [
        video if isinstance(video, FoundVideo) else FoundVideo(str(video), VideoFile(str(existing_file(video))))
        for video in videos
    ]
    model = load_video_model(checkpoint, weights or params.model.weights)
    with join_world(device=device, threads=params.evaluate.threads) as world:
        recogniser = Recogniser(
            model, params, names, device=world.device, views=views, decoder=decoder, timeout_seconds=timeout_seconds
        )

    def predict_all() -> Iterator[Prediction]:  # a generator of its own, so that bad input is named at the call
        with join_world(device=device, threads=params.evaluate.threads):
            for video in found:
                try:
                    if video.problem:
                        raise DataError(f"{video.path}: {video.problem}. Check the video, or leave it out.")
                    prediction = recogniser.predict(
                        video.file, top_k, start=start, end=end, window=window, stride=stride
                    )
                    yield replace(prediction, video=video.path)
                except DataError as error:
                    yield Prediction(video.path, error=one_line(error))

    return predict_all()
