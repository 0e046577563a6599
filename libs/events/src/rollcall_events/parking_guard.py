"""Too many keys whose events cannot be handled are a bad deploy, not bad data."""

import time
from collections import deque

MOST = 20  # keys
WINDOW = 60.0  # seconds


class TooManyParked(Exception):
    """Parking on would take the whole log aside; the next key is not parked."""


class ParkingGuard:
    """Counts the distinct keys that a replica parks. One hot key counts once."""

    def __init__(self, most: int = MOST, window: float = WINDOW):
        self._most = most
        self._window = window
        self._parked: deque[tuple[float, bytes | None]] = deque()

    def check(self, key: bytes | None, reason: str) -> None:
        """Count a key that is about to be parked. Raises TooManyParked."""
        now = time.monotonic()
        while self._parked and now - self._parked[0][0] > self._window:
            self._parked.popleft()
        keys = {parked for _, parked in self._parked}
        if key in keys:
            return
        if len(keys) >= self._most:
            raise TooManyParked(
                f"more than {self._most} keys could not be handled within {self._window:.0f} s,"
                f" the last for {reason}: a bad deploy? Mend it and start anew; what is parked"
                " waits (rollcall parked list)"
            )
        self._parked.append((now, key))
