"""A deadline for handlers: one that never returns would hold up everybody behind it."""

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

# Seconds for one handler; longer than Postgres's statement_timeout, which says what took so long.
HANDLER_DEADLINE = 40.0
_LOOK = 0.1  # seconds between looks


class HandlerTimedOut(Exception):
    """A handler took longer than it may."""


class Deadline:
    """Interrupts what runs within it, by raising HandlerTimedOut there, once it takes too long.

    It is entered by one thread at a time. Python interrupts between its own instructions: a call
    into C that never returns is seen by the health check alone, and a statement by Postgres's
    statement_timeout.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._lock = threading.Lock()
        self._ends: float | None = None  # of time.monotonic, while something runs within
        self._runs_in = 0
        self._interrupted = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="deadline", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=1)

    def __enter__(self) -> None:
        with self._lock:
            self._interrupted = False
            self._runs_in = threading.get_ident()
            self._ends = time.monotonic() + self._seconds

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._ends = None
            interrupted = self._interrupted
        if interrupted and kind is not HandlerTimedOut:
            self._await_interruption()
            raise HandlerTimedOut

    @staticmethod
    def _await_interruption() -> None:
        """It is on its way, and must not arrive anywhere else."""
        end = time.monotonic() + 1
        try:
            while time.monotonic() < end:
                pass
        except HandlerTimedOut:
            return

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK):
            with self._lock:
                if self._ends is not None and time.monotonic() > self._ends:
                    self._ends = None
                    self._interrupted = True
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(self._runs_in), ctypes.py_object(HandlerTimedOut)
                    )


@contextmanager
def watching(seconds: float) -> Iterator[Deadline]:
    """A deadline that is watched as long as this lasts."""
    deadline = Deadline(seconds)
    deadline.start()
    try:
        yield deadline
    finally:
        deadline.stop()
