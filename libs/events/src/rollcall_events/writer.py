"""The consumer's transactions, and two of them at once.

Applying a batch is half Python's work and half Postgres's. While one waits for the other nothing is
gained, unless another transaction is under way: of other partitions, as another replica's would be.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Engine

from rollcall_events.codec import RawRecord
from rollcall_events.deadline import Deadline
from rollcall_events.envelope import Position
from rollcall_events.folding import Failure, Outcome
from rollcall_events.inbox import NO_FAILURES, apply, connect
from rollcall_events.metrics import Processed
from rollcall_events.postgres import Wire
from rollcall_events.subscription import Subscription


class Writer:
    """Applies one batch after the other, on a wire that is kept as long as nothing goes wrong."""

    def __init__(self, engine: Engine, subscription: Subscription, deadline: Deadline):
        self._engine = engine
        self._subscription = subscription
        self._deadline = deadline
        self._metrics = Processed(subscription.topic, subscription.group)
        self._wire: Wire | None = None

    def write(
        self,
        records: Sequence[RawRecord],
        starts: Mapping[int, int],
        partitions: int,
        failures: Mapping[Position, Failure] = NO_FAILURES,
    ) -> Outcome:
        """As `apply`, whose errors it raises."""
        wire, self._wire = self._wire or connect(self._engine, self._subscription), None
        began = time.perf_counter()
        try:
            outcome = apply(
                wire, self._subscription, records, starts, partitions, failures, self._deadline
            )
        except BaseException as error:
            self._metrics.rolled_back(error, time.perf_counter() - began)
            wire.close()
            raise
        self._metrics.committed(records, outcome, time.perf_counter() - began)
        self._wire = wire
        return outcome

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None


def side_by_side(calls: Sequence[Callable[[], Outcome]]) -> Sequence[Outcome | Exception]:
    """What each call returned or raised. They run at once, the first in the caller's thread, and
    bound their own time."""
    ended: dict[int, Outcome | Exception] = {}

    def run(number: int) -> None:
        try:
            ended[number] = calls[number]()
        except Exception as error:  # noqa: BLE001  (the caller sorts it out)
            ended[number] = error

    # Daemons: a handler that hangs must not keep the process from ending.
    threads = [
        threading.Thread(target=run, args=(number,), name=f"writer-{number}", daemon=True)
        for number in range(1, len(calls))
    ]
    for thread in threads:
        thread.start()
    run(0)
    for thread in threads:
        thread.join()
    return [ended[number] for number in range(len(calls))]
