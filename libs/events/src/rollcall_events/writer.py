"""The consumer's transactions, and two of them at once.

Applying a batch is half Python's work and half Postgres's. While one waits for the other nothing is
gained, unless another transaction is under way: of other partitions, as another replica's would be.
"""

import math
import threading
import time
from collections import deque
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


def in_parts(
    records: Sequence[RawRecord], most: int, enough: int, parts: int
) -> tuple[list[list[RawRecord]], list[RawRecord]]:
    """The records of transactions that may be applied in any order, and what is left for later.

    A partition's records are all in one part. No part has more than `most`: what is beyond that is
    left. There are up to `parts` of them with `enough` records each; but two where there is less,
    more where `most` wants it, and never more than there are partitions."""
    count = max(math.ceil(len(records) / most), min(len(records) // enough, parts), 2)
    made: list[list[RawRecord]] = [[] for _ in range(count)]
    left: list[RawRecord] = []
    of: dict[int, list[RawRecord]] = {}
    for record in records:
        part = of.get(record.partition)
        if part is None:
            part = of[record.partition] = min(made, key=len)
        (part if len(part) < most else left).append(record)
    return [part for part in made if part], left


def side_by_side(
    writers: Sequence[Writer],
    calls: Sequence[Callable[[Writer], Outcome]],
    over: Callable[[], bool],
) -> Mapping[int, Outcome | Exception]:
    """What calls returned or raised, by their number; once one has raised, or it is `over`, none is
    begun any more.

    Each is given a writer that is free. They run at once, as many as there are writers, the first
    of whom works in the caller's thread, and bound their own time."""
    waiting = deque(enumerate(calls))
    ended: dict[int, Outcome | Exception] = {}

    def run(writer: Writer) -> None:
        while not over():
            try:
                number, call = waiting.popleft()
            except IndexError:
                return
            try:
                ended[number] = call(writer)
            except Exception as error:  # noqa: BLE001  (the caller sorts it out)
                waiting.clear()
                ended[number] = error

    # Daemons: a handler that hangs must not keep the process from ending.
    threads = [
        threading.Thread(target=run, args=(writer,), name=f"writer-{number}", daemon=True)
        for number, writer in enumerate(writers[1:], 1)
    ]
    for thread in threads:
        thread.start()
    run(writers[0])
    for thread in threads:
        thread.join()
    return ended
