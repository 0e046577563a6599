"""Waiting for a commit: woken by Postgres, or by another thread of the process."""

import contextlib
import selectors
import socket

import psycopg2.extensions
from sqlalchemy import Connection, Engine, text

from rollcall_events.postgres import close


class Bell:
    """Wakes one waiting thread: rung by other threads, and by Postgres when rows were committed."""

    def __init__(self, engine: Engine, channel: str):
        self._engine = engine
        self._channel = channel
        self._connection: Connection | None = None
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)

    def ring(self) -> None:
        # A full buffer rings already, and one that is closed has nobody to wake.
        with contextlib.suppress(OSError):
            self._far.send(b"!")

    def listen(self) -> None:
        """Hear of commits from now on. To be called before looking at the ledger, lest a commit
        between the look and the listening be missed."""
        if self._connection is None:
            # Of its own, outside the pool: it stays open, and LISTEN belongs to the session.
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            connection.detach()
            try:
                connection.execute(text(f'LISTEN "{self._channel}"'))
            except BaseException:
                close(connection)
                raise
            self._connection = connection

    def mute(self) -> None:
        if self._connection is not None:
            close(self._connection)
            self._connection = None

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or once it has rung. Raises psycopg2.Error: Postgres is gone."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._near, selectors.EVENT_READ)
            if self._connection is not None:
                selector.register(self._driver, selectors.EVENT_READ)
            selector.select(max(seconds, 0))
        with contextlib.suppress(BlockingIOError):
            while self._near.recv(4096):
                pass
        if self._connection is not None:
            self._driver.poll()
            self._driver.notifies.clear()

    def close(self) -> None:
        self.mute()
        self._near.close()
        self._far.close()

    @property
    def _driver(self) -> psycopg2.extensions.connection:
        assert self._connection is not None
        driver = self._connection.connection.dbapi_connection
        assert isinstance(driver, psycopg2.extensions.connection)
        return driver
