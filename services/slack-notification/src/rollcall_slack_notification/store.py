"""The service's schema in Postgres, as a component: migrated at the start, let go at the end."""

from prometheus_client import REGISTRY
from sqlalchemy import Engine

from rollcall_service.ledger import Counts
from rollcall_service.migrations import upgrade
from rollcall_slack_notification.settings import SCHEMA


class Store:
    def __init__(self, engine: Engine):
        self._engine = engine
        self.counts = Counts(engine)

    def start(self) -> None:
        upgrade(self._engine, __package__, schema=SCHEMA)
        REGISTRY.register(self.counts)

    def stop(self) -> None:
        REGISTRY.unregister(self.counts)
        self._engine.dispose()
