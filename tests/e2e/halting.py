"""Processes that stand still for a while (SIGSTOP), and go on."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from support.family import send_all


@contextmanager
def all_halted(pid: int) -> Iterator[None]:
    """A process and its children, halted: whoever calls it gets no answer and no refusal."""
    send_all(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        send_all(pid, signal.SIGCONT)


@contextmanager
def halted(pid: int) -> Iterator[None]:
    """One process, halted."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
