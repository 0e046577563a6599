"""Appending many events: bounded, in order per key, each acknowledgement awaited."""

import threading
import time
from concurrent.futures import Future
from typing import Protocol

from rollcall_events import LogUnavailable, NotAcknowledged, Record, Recorded

MOST = 4_000  # on their way at once
PATIENCE = 60.0  # seconds that one event is tried for
_PAUSE = 0.2  # seconds, after which a broker that did not take anything is asked again


class Log(Protocol):
    """As the events library's Publisher is one."""

    failed: threading.Event

    def append(self, record: Record) -> Future[Recorded]: ...


class GivenUp(Exception):
    """The broker acknowledged nothing for too long. The message is the reason."""


class Appending:
    """acknowledged: how many events are in the log for sure.

    Of one key only one event is on its way: were two, and only the later one came to be in the
    log, it would be rejected for ever. What is not acknowledged is therefore appended again, which
    is harmless: every group drops the second copy.
    """

    def __init__(self, log: Log, patience: float = PATIENCE):
        self.acknowledged = 0
        self._log = log
        self._patience = patience
        # By key, the oldest first.
        self._on_way: dict[bytes, tuple[Record, Future[Recorded]]] = {}

    def append(self, record: Record) -> None:
        """Raises GivenUp."""
        if record.key in self._on_way:
            self._settle(record.key)
        if len(self._on_way) >= MOST:
            self._drain(MOST // 2)
        self._on_way[record.key] = record, self._send(record)

    def finish(self) -> None:
        """Wait for everything that is on its way. Raises GivenUp."""
        self._drain(0)

    def _drain(self, most: int) -> None:
        while len(self._on_way) > most:
            self._settle(next(iter(self._on_way)))

    def _settle(self, key: bytes) -> None:
        record, future = self._on_way.pop(key)
        deadline = time.monotonic() + self._patience
        while True:
            try:
                future.result(self._patience)
                break
            except (NotAcknowledged, TimeoutError) as error:
                self._check(deadline, error)
                future = self._send(record)
        self.acknowledged += 1

    def _send(self, record: Record) -> Future[Recorded]:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return self._log.append(record)
            except LogUnavailable as error:
                self._check(deadline, error)
                self._log.failed.wait(_PAUSE)

    def _check(self, deadline: float, error: Exception) -> None:
        if self._log.failed.is_set() or time.monotonic() > deadline:
            raise GivenUp(str(error) or "nothing was acknowledged") from error
