"""A process and whatever it has started, which are halted and go on together."""

from contextlib import suppress
from signal import Signals

import psutil  # type: ignore[import-untyped]


def send_all(pid: int, signal: Signals) -> None:
    """To the process and its descendants; to nobody who has ended. It first, so that it starts no
    more of them meanwhile."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        process.send_signal(signal)
        for member in process.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                member.send_signal(signal)
