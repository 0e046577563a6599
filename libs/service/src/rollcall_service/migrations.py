"""Schema migrations by Alembic, safe when several replicas start at once."""

import logging
from importlib.resources import files

from sqlalchemy import Connection, Engine, text

log = logging.getLogger(__name__)

# Any constant will do as long as it stays: the key of the advisory lock of migrations.
_LOCK = 0x526F6C6C


def upgrade(engine: Engine, package: str, *, schema: str) -> None:
    """Bring `schema` to the newest revision in `<package>/migrations`, creating it if need be.

    One replica migrates at a time; the others wait and then find nothing to do. Migrations
    only add (tests/house), so that a release works with what a later one has migrated, and leaves
    it. The service's `env.py` runs on the connection in `config.attributes["connection"]`.
    """
    with engine.connect() as connection:
        connection.execute(text("SET lock_timeout = 0"))  # others may migrate first
        connection.execute(
            text("SELECT pg_advisory_lock(:lock, hashtext(:schema))"),
            {"lock": _LOCK, "schema": schema},
        )
        connection.execute(text("RESET lock_timeout"))  # who waits for a table makes others wait
        try:
            connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
            connection.commit()
            _migrate(connection, package, schema)
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock_all()"))
            connection.commit()


def _migrate(connection: Connection, package: str, schema: str) -> None:
    known, stored = _known(package), _stored(connection, schema)
    if stored == known[-1]:
        return
    if stored is not None and stored not in known:
        log.warning("a later release has migrated the schema", extra={"revision": stored})
        return
    # Only here: a quarter of what a replica imports at its start, and seldom used.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(files(package) / "migrations"))
    config.attributes["connection"] = connection
    config.attributes["schema"] = schema
    command.upgrade(config, "head")


def _known(package: str) -> list[str]:
    """The revisions of this release, in order: `<revision>_<name>.py` (tests/house)."""
    scripts = (files(package) / "migrations" / "versions").iterdir()
    return sorted(name.split("_")[0] for s in scripts if (name := s.name).endswith(".py"))


def _stored(connection: Connection, schema: str) -> str | None:
    table = f'"{schema}".alembic_version'
    if connection.execute(text("SELECT to_regclass(:table)"), {"table": table}).scalar() is None:
        return None
    return connection.execute(text(f"SELECT version_num FROM {table}")).scalar()  # noqa: S608


def run_env(schema: str) -> None:
    """The whole of a service's `env.py`: migrate inside one transaction of the given connection."""
    from alembic import context

    context.configure(
        connection=context.config.attributes["connection"], version_table_schema=schema
    )
    with context.begin_transaction():
        context.run_migrations()
