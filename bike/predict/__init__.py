"""Recognise any video, with any class names. What needs torch is imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bike.predict.result import FrameWeight, Guess, Prediction, Window

if TYPE_CHECKING:
    from bike.predict.draw import plot_saliency
    from bike.predict.recogniser import Recogniser, load
    from bike.predict.videos import predict_videos

__all__ = ["FrameWeight", "Guess", "Prediction", "Recogniser", "Window", "load", "plot_saliency", "predict_videos"]
_PLACES = {"plot_saliency": "draw", "Recogniser": "recogniser", "load": "recogniser", "predict_videos": "videos"}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
