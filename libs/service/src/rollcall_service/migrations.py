"""Schema migrations by Alembic, safe when several replicas start at once."""

import logging
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
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
    config = Config()
    config.set_main_option("script_location", str(files(package) / "migrations"))
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
            config.attributes["connection"] = connection
            config.attributes["schema"] = schema
            if not _is_later(connection, config, schema):
                command.upgrade(config, "head")
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock_all()"))
            connection.commit()


def _is_later(connection: Connection, config: Config, schema: str) -> bool:
    """Whether the schema has a revision that this release does not know."""
    context = MigrationContext.configure(connection, opts={"version_table_schema": schema})
    stored = context.get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if stored is None or stored in known:
        return False
    log.warning("a later release has migrated the schema", extra={"revision": stored})
    return True


def run_env(schema: str) -> None:
    """The whole of a service's `env.py`: migrate inside one transaction of the given connection."""
    from alembic import context

    context.configure(
        connection=context.config.attributes["connection"], version_table_schema=schema
    )
    with context.begin_transaction():
        context.run_migrations()
