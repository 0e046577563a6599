"""The lock that the supervisor of a state directory holds for as long as it lives."""

import fcntl
import os
import threading
from pathlib import Path


def acquire(path: Path, within: float) -> int | None:
    """Take the lock; the descriptor that holds it, or None if another had it for `within` seconds.

    It is released by closing the descriptor or by the end of the process.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    taken = threading.Thread(target=fcntl.flock, args=(descriptor, fcntl.LOCK_EX), daemon=True)
    taken.start()
    taken.join(within)
    return None if taken.is_alive() else descriptor


def wait_until_free(path: Path, within: float) -> bool:
    """Whether nobody holds the lock, after waiting for it for at most `within` seconds."""
    if not path.exists():
        return True
    descriptor = acquire(path, within)
    if descriptor is None:
        return False
    os.close(descriptor)
    return True
