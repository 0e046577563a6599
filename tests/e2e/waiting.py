"""Waiting for what other processes do."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PERIOD = 0.05  # seconds between two looks


def eventually(check: Callable[[], T], within: float) -> T:
    """What `check` answers, once it asserts nothing false and answers neither False nor nothing.

    `None` is the answer of a check that only asserts. Fails after `within` seconds, with the last
    assertion. Anything else that it raises is an error at once.
    """
    deadline = time.monotonic() + within
    pause = threading.Event()  # never set: what is waited for can only be looked at
    while True:
        last = time.monotonic() >= deadline
        try:
            answer = check()
        except AssertionError:
            if last:
                raise
        else:
            if answer or answer is None:
                return answer
            assert not last, f"not so within {within:.1f} s"
        pause.wait(_PERIOD)
