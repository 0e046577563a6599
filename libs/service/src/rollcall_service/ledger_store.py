"""A notification service's schema in Postgres, as a component."""

from sqlalchemy import Engine

from rollcall_service.migrations import upgrade


class LedgerStore:
    """Migrated by the revisions of `package` when it starts; its connections end when it stops."""

    def __init__(self, engine: Engine, package: str, schema: str):
        self._engine = engine
        self._package = package
        self._schema = schema

    def start(self) -> None:
        upgrade(self._engine, self._package, schema=self._schema)

    def stop(self) -> None:
        self._engine.dispose()
