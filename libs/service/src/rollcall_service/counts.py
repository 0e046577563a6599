"""Numbers that Postgres knows, for /status and /metrics."""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager

from prometheus_client import REGISTRY
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from rollcall_events import parking
from rollcall_service import ledger

_MAX_AGE = 1.0  # seconds

Connect = Callable[[], AbstractContextManager[Connection]]


class Counts(Collector):
    """Component: a gauge with one label, and the same as a mapping.

    The last known while Postgres is away, and read at most once a second, however often they are
    asked for.
    """

    def __init__(
        self,
        connect: Connect,
        count: Callable[[Connection], Mapping[str, int]],
        metric: tuple[str, str, str],
    ):
        """connect: raises LookupError while there is nothing to count. metric: its name, what it
        says, and its label."""
        self._connect = connect
        self._count = count
        self._name, self._help, self._label = metric
        self._lock = threading.Lock()
        self._read_at = -math.inf
        self._counts: Mapping[str, int] = {}

    def start(self) -> None:
        REGISTRY.register(self)

    def stop(self) -> None:
        REGISTRY.unregister(self)

    def read(self) -> dict[str, int]:
        with self._lock:
            if time.monotonic() - self._read_at >= _MAX_AGE:
                with contextlib.suppress(SQLAlchemyError, LookupError), self._connect() as opened:
                    self._counts = self._count(opened)
                self._read_at = time.monotonic()
            return dict(self._counts)

    def describe(self) -> Iterable[Metric]:
        return [self._metric()]

    def collect(self) -> Iterable[Metric]:
        metric = self._metric()
        for name, count in self.read().items():
            metric.add_metric([name], count)
        return [metric]

    def _metric(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._name, self._help, labels=[self._label])


def ledger_counts(engine: Engine) -> Counts:
    """Deliveries by state."""
    return Counts(
        engine.connect, ledger.counts, ("rollcall_ledger", "Deliveries by state.", "state")
    )


def parked_counts(connect: Connect) -> Counts:
    """What the group holds: sequences, and records in them."""
    return Counts(connect, _parked, ("rollcall_parked", "What the group holds, parked.", "what"))


def _parked(connection: Connection) -> Mapping[str, int]:
    sequences, records = parking.counts(connection)
    return {"sequences": sequences, "records": records}
