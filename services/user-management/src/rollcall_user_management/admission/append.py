"""Append an admitted event, and note that it is in the log whoever still waits for it."""

import time
from collections.abc import Callable
from concurrent.futures import Future

from rollcall_events import LogUnavailable, Publisher, Record, Recorded
from rollcall_user_management.admission.store import RECOVER_AFTER

Mark = Callable[[str, Recorded], None]


def append(
    publisher: Publisher, mark: Mark, event_id: str, record: Record, since: float
) -> Future[Recorded]:
    """since: a moment (of time.monotonic) at which the admission was not stored, or leased, yet.

    Raises LogUnavailable at once where nothing was sent: so it is after a long stall, because
    what a restored Postgres has forgotten must not be appended when it trusts the log again.
    """
    if time.monotonic() - since > RECOVER_AFTER:
        raise LogUnavailable("stalled for too long; recovery appends it")

    def done(future: Future[Recorded]) -> None:
        if future.exception() is None:
            mark(event_id, future.result())

    future = publisher.append(record)
    future.add_done_callback(done)
    return future
