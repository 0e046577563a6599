"""The index of names and e-mails, kept in order while no event waits for it.

Postgres puts what is new to such an index in a list, which every search reads, and merges the list
into the index once it is long. Whose transaction finds it so has to do that: its events became
visible 40 to 100 ms late, for each 3,000 new users. So the projection's sessions let the list get
longer, and it is merged here before.
"""

import logging
import threading

from sqlalchemy import Connection, Engine, text

from rollcall_events.postgres import STORE_ERRORS
from rollcall_user_management.settings import SCHEMA

log = logging.getLogger(__name__)

INTERVAL = 3.0  # seconds between looks
ROWS = 3_000  # of the history, for a merge: each writes pages that have room for many more
PREPARE = "SET gin_pending_list_limit = '32MB';"  # should no replica come to it


class SearchIndex:
    """Component: merges in every generation. Each replica does: who comes second finds nothing to
    be done. engine: of the connections that see user-management's own schema."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self._merged: dict[int, int] = {}  # index → how often it had come to ROWS more
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="search-index", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=3)

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL):
            self._look()

    def _look(self) -> None:
        try:
            with self._engine.connect() as connection:
                self._merge(connection.execution_options(isolation_level="AUTOCOMMIT"))
        except STORE_ERRORS as error:  # it is away, or the generation is just being removed
            log.warning("search index not merged", extra={"reason": type(error).__name__})

    def _merge(self, connection: Connection) -> None:
        """Right after a start, too: a list may have been left."""
        for index, rows in connection.execute(_ROWS).all():
            if self._merged.get(index) != rows // ROWS:
                connection.execute(_MERGE, {"index": index})
                self._merged[index] = rows // ROWS


# The number of rows is of the statistics: of all sessions, a second late, and from 0 after a crash.
_ROWS = text(
    "SELECT i.indexrelid, pg_stat_get_tuples_inserted(i.indrelid)"  # noqa: S608  (a constant)
    f" FROM generations g JOIN pg_namespace n ON n.nspname = '{SCHEMA}_g' || g.number"
    " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'history_named'"
    " JOIN pg_index i ON i.indexrelid = c.oid"
)
_MERGE = text("SELECT gin_clean_pending_list(cast(:index AS oid))")
