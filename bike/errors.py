"""Errors meant for users: one line that names the thing, says what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class BikeError(Exception):
    """A problem the user can solve. Commands print its text on one line and exit with status 1.

    A long text loses its middle: what it quotes of a file may be of any length; what it names stands at the beginning,
    what to do at the end.
    """

    def __str__(self) -> str:
        text = super().__str__()
        return text if len(text) <= 8000 else f"{text[:6000]} … {text[-1500:]}"


class DataError(BikeError):
    """A video, frame pack, shard, list or annotation file is missing, damaged or contradictory."""


class BusyError(BikeError):
    """Another run holds the lock of a folder or file."""


class ParamsError(BikeError):
    """A value in ``params.yaml`` or on the command line is unknown or out of range."""


class WeightsError(BikeError):
    """A weight file can't be fetched, is unsafe, or does not fit the model."""


def one_line(text: object) -> str:
    """Fold white space and escape control characters: a message, however it was made, is one line of plain text."""
    line = " ".join(str(text).split())
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in line)


def reason_of(error: OSError) -> str:
    """What the system says of an error, without number and path: ``No space left on device``."""
    return one_line(error.strerror or error)


def first_few(problems: Sequence[str], limit: int = 10) -> str:
    """Join at most ``limit`` problems and count the rest: ``a; b; and 3 more``."""
    shown = "; ".join(problems[:limit])
    rest = len(problems) - limit
    return f"{shown}; and {rest} more" if rest > 0 else shown


def nearest(word: str, allowed: Iterable[str]) -> str:
    """A hint such as `` Did you mean 'lr'?`` for a mistyped ``word``, or an empty string."""
    close = get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""
