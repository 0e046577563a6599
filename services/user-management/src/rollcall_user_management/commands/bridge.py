"""From threads to the event loop: outcomes are handed over in bursts, one wake-up for each."""

import asyncio
import contextlib
from collections import deque
from typing import Any


class Bridge:
    """Ends futures of one event loop from any thread."""

    def __init__(self) -> None:
        self._ended: deque[tuple[asyncio.Future[Any], Any]] = deque()
        self._woken = False

    def end(self, future: asyncio.Future[Any], outcome: Any) -> None:
        """Nothing happens to a future that was cancelled, or whose loop has ended."""
        self._ended.append((future, outcome))
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # the loop is closed
                future.get_loop().call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        self._woken = False  # before the queue is read: what comes now wakes anew
        while self._ended:
            future, outcome = self._ended.popleft()
            if not future.done():
                future.set_result(outcome)
