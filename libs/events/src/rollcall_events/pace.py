"""How much of its time a consumer may take from others on the same Postgres and machine."""

import time
from collections.abc import Callable
from threading import Event

_STRETCH = 0.005  # seconds of work at a time: whoever comes meanwhile may have to wait for its end
_LEAST, _MOST = 5, 200  # records of a stretch


class Pace:
    """share: the part of the time in which it may work, above 0; 1 is as fast as it goes. It is
    asked before each batch. At the log's end, what comes in less than a stretch of work is not
    slowed down: there is no more to do than for whoever else follows the log."""

    def __init__(self, share: Callable[[], float] = lambda: 1.0):
        self._share = share
        self._limit = 0
        self._fitting = _LEAST  # records that take about _STRETCH here

    def limit(self, most: int) -> int:
        """How many records to take next, `most` at most."""
        self._limit = most if self._share() >= 1 else min(most, self._fitting)
        return self._limit

    def rest(self, records: int, began: float, stopping: Event) -> None:
        """Leave the others their part after a batch that began then (of time.monotonic)."""
        share = self._share()
        if share >= 1 or records < self._limit:
            return
        worked = time.monotonic() - began
        fitting = records * _STRETCH / max(worked, 0.001)
        self._fitting = round(min(max((self._fitting + fitting) / 2, _LEAST), _MOST))
        stopping.wait(worked * (1 - share) / share)
