"""Append again what was admitted and is not known to be in the log; prune what is settled."""

import logging
import threading
import time
from functools import partial

from sqlalchemy import Engine

from rollcall_events import LogUnavailable, Publisher, Record, tracing
from rollcall_events.postgres import is_store_trouble
from rollcall_user_management.admission.append import Mark, append
from rollcall_user_management.admission.store import lease_unappended, prune

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between looks
PRUNE_INTERVAL = 30.0  # seconds
_LIMIT = 500


class Recovery:
    """Runs on every replica; a lease with backoff keeps them off each other's admissions.

    The same event goes again with the same id, so a copy that was in the log after all is
    dropped by every consumer. Where it is traced it has another `send` span, below the one that
    did not end.
    """

    def __init__(self, engine: Engine, publisher: Publisher, mark: Mark):
        self.failed = threading.Event()
        self._engine = engine
        self._publisher = publisher
        self._mark = mark
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recovery", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=3)

    def _run(self) -> None:
        pruned = time.monotonic()
        while not self._stopping.wait(INTERVAL):
            try:
                self.once()
                if time.monotonic() - pruned > PRUNE_INTERVAL:
                    self._prune()
                    pruned = time.monotonic()
            except Exception as error:
                if not isinstance(error, LogUnavailable) and not is_store_trouble(error):
                    log.exception("recovery ended")
                    self.failed.set()
                    return
                log.warning("recovery waits", extra={"reason": type(error).__name__})

    def _prune(self) -> None:
        pruned = _LIMIT
        while pruned == _LIMIT and not self._stopping.is_set():
            with self._engine.begin() as connection:
                pruned = prune(connection, _LIMIT)

    def once(self) -> int:
        """One look. Returns how many admissions were appended again."""
        if not self._publisher.available:
            return 0
        began = time.monotonic()
        with self._engine.begin() as connection:
            leased = lease_unappended(connection, _LIMIT)
        for event_id, record in leased:
            self._append(event_id, record, began)
        if leased:
            log.info("appended again", extra={"admissions": len(leased)})
        return len(leased)

    def _append(self, event_id: str, record: Record, since: float) -> None:
        headers = {name: value.decode() for name, value in record.headers}
        carried = (headers.get("traceparent"), headers.get("tracestate"))
        span = tracing.sending(record.topic, *carried)
        again = partial(append, self._publisher, self._mark, event_id, record, since)
        tracing.appending(span, event_id, again)
