"""Fetches the shards of an epoch a little before they are needed, while batches are read and trained on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from bike.errors import BikeError
from bike.frames.source import Prefetch


class ShardsAhead(Prefetch):
    """A thread that fetches shards in the order of their first use, ``lookahead`` of them before their turn.

    Use as a context: it ends with the epoch, or when the epoch is left early.

    Args:
        shards: number of the shard of every sample, in the epoch's order.
        fetch: brings a shard near; what goes wrong is left for the reader to meet.
        lookahead: shards to fetch beyond the one in use; 0 fetches none.
    """

    def __init__(self, shards: Sequence[int], fetch: Callable[[int], object], lookahead: int) -> None:
        # Backwards, so that the earliest position of a shard is the one that stays.
        first = {shard: position for position, shard in reversed(list(enumerate(shards)))}
        self._turns = sorted((position, shard) for shard, position in first.items())
        self._fetch, self._lookahead = fetch, lookahead
        self._position = 0
        self._stopped = False
        self._changed = threading.Condition()
        # A daemon: a fetch that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="bike-shards-ahead", daemon=True)

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()
        # The thread isn't waited for: it ends after the fetch under way, whose shard stays in the cache.

    def reached(self, position: int) -> None:
        """Note that the samples before ``position`` were handed over.

        The thread starts with the first call, when the loader has forked its own workers. Another loader may fork while
        the thread holds a lock of the cache; its workers then don't keep the lock (:func:`bike.files.locked`).
        """
        with self._changed:
            self._position = position
            self._changed.notify()
        if self._lookahead > 0 and self._thread.ident is None:
            self._thread.start()

    def _run(self) -> None:
        for number, (_, shard) in enumerate(self._turns):
            allowed_from = self._turns[max(0, number - self._lookahead)][0]
            with self._changed:
                self._changed.wait_for(lambda start=allowed_from: self._stopped or self._position >= start)  # type: ignore[misc]
                if self._stopped:
                    return
            try:
                self._fetch(shard)
            except BikeError:  # the reader meets it too, and can say which sample it concerns
                return
