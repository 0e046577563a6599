"""How much of its time a consumer may take from others on the same Postgres and machine."""

import time
from collections.abc import Callable
from threading import Event

_BATCH = 200  # records at a time while it has to leave time to others


class Pace:
    """share: the part of the time in which it may work, above 0; 1 is as fast as it goes. It is
    asked before each batch. What is at the log's end is never slowed down: it has no more to do
    than whoever else follows the log, and should not fall behind them."""

    def __init__(self, share: Callable[[], float] = lambda: 1.0):
        self._share = share
        self._limit = 0

    def limit(self, most: int) -> int:
        """How many records to take next, `most` at most."""
        self._limit = most if self._share() >= 1 else min(most, _BATCH)
        return self._limit

    def rest(self, records: int, began: float, stopping: Event) -> None:
        """Leave the others their part after a batch that began then (of time.monotonic)."""
        share = self._share()
        if share < 1 and records >= self._limit:
            stopping.wait((time.monotonic() - began) * (1 - share) / share)
