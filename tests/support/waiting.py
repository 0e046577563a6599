"""Wait for a condition, never for a time."""

import time
from collections.abc import Callable
from threading import Event

_PAUSE = Event()  # never set: the pause between two looks


def eventually(condition: Callable[[], object], within: float = 20.0) -> None:
    """Return as soon as the condition holds; fail when it does not within so many seconds."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        _PAUSE.wait(0.02)
