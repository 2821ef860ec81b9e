"""Inputs that are nearly right: bytes cut, changed, repeated, and replaced by what readers stumble over."""

from __future__ import annotations

import random
import re
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 5  # of the processor, so that a busy machine changes nothing
HANGING_SECONDS = 300  # by the clock, for a reader that only waits
MEGABYTES = 400
TOKENS = (
    b"9" * 5000,
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"null",
    b"true",
    b"[" * 3000,
    b'{"a":' * 3000,
    b"&a [*a, *a]",
    b"../../x",
    b"\0",
    b"\xff\xfe",
    b"\xed\xb0\x80",
    b'"',
    b"\r",
    b"\n",
    b",",
    b"1" * 40,
    b"9223372036854775808",
    b"\xff\xff\xff\x7f",
)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """``data`` with one to four changes."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed) + 1)
        end = min(place + chance.choice((1, 2, 8, 60, 600)), len(changed))
        kind = chance.randrange(6)
        if kind == 0:
            del changed[place:]
        elif kind == 1 and changed:
            changed[place % len(changed)] = chance.randrange(256)
        elif kind == 2:
            del changed[place:end]
        elif kind == 3:
            changed[end:end] = changed[place:end] * chance.choice((1, 3, 50))
        elif kind == 4:
            changed[place : place + chance.choice((0, 1, 4))] = chance.choice(TOKENS)
        elif numbers := list(re.finditer(rb"\d+|\"[^\"]*\"", changed[:100_000])):
            found = chance.choice(numbers)
            changed[found.start() : found.end()] = chance.choice(TOKENS)
    return bytes(changed)


class TooLongError(BaseException):
    """No reader may take it for an error of its own."""


@contextmanager
def limits() -> Iterator[None]:
    """Ends what takes longer than :data:`SECONDS`, or more than :data:`MEGABYTES` on top of what the process had."""

    def ended(number: int, _: object) -> None:
        raise TooLongError(f"over {SECONDS} s" if number == signal.SIGPROF else "waits for ever")

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, SECONDS), signal.SIGALRM: (signal.ITIMER_REAL, HANGING_SECONDS)}
    before = {number: signal.signal(number, ended) for number in timers}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for timer, seconds in timers.values():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for number, (timer, _) in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) // 1024
    assert more < MEGABYTES, f"{more} MB"
