"""Append an admitted event, and note that it is in the log whoever still waits for it."""

from collections.abc import Callable
from concurrent.futures import Future

from rollcall_events import Publisher, Record, Recorded

Mark = Callable[[str, Recorded], None]


def append(publisher: Publisher, mark: Mark, event_id: str, record: Record) -> Future[Recorded]:
    """Raises LogUnavailable at once where nothing was sent."""

    def done(future: Future[Recorded]) -> None:
        if future.exception() is None:
            mark(event_id, future.result())

    future = publisher.append(record)
    future.add_done_callback(done)
    return future
