"""What a prediction says: guesses for a video or for each window of it, and how much each frame counted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


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
class Window:
    """What a part of a video shows.

    Attributes:
        start, end: of the part, seconds.
        guesses: best classes first, ranked as ``bike eval`` ranks them.
        saliency: of the first clip's frames, centre crop; empty where the model weighs all alike (interaction ``dp``).
    """

    start: float
    end: float
    guesses: tuple[Guess, ...]
    saliency: tuple[FrameWeight, ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a video shows.

    Attributes:
        video: as given.
        frames: how many it has.
        seconds: its length.
        guesses: best classes first, ranked as ``bike eval`` ranks them; of several windows the mean.
        saliency: as :attr:`Window.saliency`; empty where there are several windows.
        looked_at: numbers of the first clip's frames, from 0; empty where there are several windows.
        times: of these frames, seconds.
        timeline: the windows, first to last; empty where none were asked for.
        error: why there is no prediction; empty when there is one.
    """

    video: str
    frames: int = 0
    seconds: float = 0.0
    guesses: tuple[Guess, ...] = ()
    saliency: tuple[FrameWeight, ...] = ()
    looked_at: tuple[int, ...] = ()
    times: tuple[float, ...] = ()
    timeline: tuple[Window, ...] = ()
    error: str = ""

    @property
    def labels(self) -> list[str]:
        """Names of the best classes, best first."""
        return [guess.name for guess in self.guesses]

    @property
    def scores(self) -> list[float]:
        """Their probabilities, 0 to 1."""
        return [guess.probability for guess in self.guesses]

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON file; what a prediction doesn't have is left out."""
        values = asdict(self)
        optional = ("saliency", "looked_at", "times", "timeline", "error")
        values = {name: value for name, value in values.items() if value or name not in optional}
        for window in values.get("timeline", ()):
            if not window["saliency"]:
                del window["saliency"]
        return values
