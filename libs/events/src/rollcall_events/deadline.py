"""A deadline for handlers: one that never returns would hold up everybody behind it."""

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

# Seconds for one handler; longer than Postgres's statement_timeout, which says what took so long.
# One that returns, but sent Postgres nothing for nearly IDLE_LIMIT, has taken too long as well.
HANDLER_DEADLINE = 40.0
_LOOK = 0.1  # seconds between looks


class HandlerTimedOut(Exception):
    """A handler took longer than it may."""


class Deadline:
    """Interrupts what runs within it, by raising HandlerTimedOut there, once it takes too long.

    Each thread that enters it has its own time. Python interrupts between its own instructions: a
    call into C that never returns is seen by the health check alone, and a statement by Postgres's
    statement_timeout.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._lock = threading.Lock()
        self._ends: dict[int, float] = {}  # of time.monotonic, of each thread that is within
        self._interrupted: set[int] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="deadline", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=1)

    def __enter__(self) -> None:
        with self._lock:
            self._ends[threading.get_ident()] = time.monotonic() + self._seconds

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        thread = threading.get_ident()
        with self._lock:
            self._ends.pop(thread, None)
            interrupted = thread in self._interrupted
            self._interrupted.discard(thread)
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
                now = time.monotonic()
                late = [thread for thread, ends in self._ends.items() if now > ends]
                for thread in late:
                    del self._ends[thread]
                    self._interrupted.add(thread)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(thread), ctypes.py_object(HandlerTimedOut)
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
