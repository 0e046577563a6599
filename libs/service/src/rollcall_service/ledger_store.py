"""A notification service's schema in Postgres, as a component, and how full its ledger is."""

import contextlib
import math
import threading
import time
from collections.abc import Iterable

from prometheus_client import REGISTRY
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from rollcall_service.ledger import counts
from rollcall_service.migrations import upgrade


class LedgerStore:
    """Migrated by the revisions of `package` when it starts; its connections end when it stops."""

    def __init__(self, engine: Engine, package: str, schema: str):
        self.counts = Counts(engine)
        self._engine = engine
        self._package = package
        self._schema = schema

    def start(self) -> None:
        upgrade(self._engine, self._package, schema=self._schema)
        REGISTRY.register(self.counts)

    def stop(self) -> None:
        REGISTRY.unregister(self.counts)
        self._engine.dispose()


class Counts(Collector):
    """The rows by state, for /status and /metrics: the last known while Postgres is away, and
    read at most once a second, however often they are asked for."""

    def __init__(self, engine: Engine, max_age: float = 1.0):
        self._engine = engine
        self._max_age = max_age
        self._lock = threading.Lock()
        self._read_at = -math.inf
        self._counts: dict[str, int] = {}

    def read(self) -> dict[str, int]:
        with self._lock:
            if time.monotonic() - self._read_at >= self._max_age:
                with contextlib.suppress(SQLAlchemyError), self._engine.connect() as connection:
                    self._counts = counts(connection)
                self._read_at = time.monotonic()
            return dict(self._counts)

    def describe(self) -> Iterable[Metric]:
        return [self._metric()]

    def collect(self) -> Iterable[Metric]:
        metric = self._metric()
        for state, count in self.read().items():
            metric.add_metric([state], count)
        return [metric]

    def _metric(self) -> GaugeMetricFamily:
        return GaugeMetricFamily("rollcall_ledger", "Deliveries by state.", labels=["state"])
