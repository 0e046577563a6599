"""Whether this process has been running all the while.

One that was stopped, starved, or on a machine that slept goes on with commands that were sent long
ago. Whoever sent them may have given up, repeated them elsewhere and been refused there; so what
was in hand, or in a socket, is not to be admitted any more.
"""

import math
import threading
import time

STALLED = 2.0  # seconds without a beat; who is asked again sooner may be told twice
SETTLES = 1.0  # seconds after it, in which what came meanwhile is read
_BEAT = 0.1  # seconds


class Pulse:
    """Component: a thread that does nothing but beat."""

    def __init__(self) -> None:
        self._beat = time.monotonic()
        self._resumed = -math.inf
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=1)

    def stalled(self) -> bool:
        """Whether it did not run for STALLED, just now or up to SETTLES ago."""
        now = time.monotonic()
        return now - self._beat > STALLED or now - self._resumed < SETTLES

    def _run(self) -> None:
        self._beat = time.monotonic()
        while not self._stopping.wait(_BEAT):
            now = time.monotonic()
            if now - self._beat > STALLED:
                self._resumed = now
            self._beat = now
