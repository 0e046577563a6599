"""Connections to a mail server, each kept for a moment for the next mail.

Connecting costs almost as much as a mail does, and twice as much where TLS is spoken. Whether a
connection that is kept is still good is asked before it is used; and where the server wants no more
mails over it, which it says of the next mail's sender, another one is made.
"""

import contextlib
import math
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rollcall_email_notification.settings import Smtp

IDLE = 2.0  # seconds that a connection is kept
MAILS = 50  # over one connection: servers have their limits
_LOOK = 0.1  # seconds

Greet = Callable[[smtplib.SMTP], None]


@dataclass(eq=False, slots=True)
class _Connection:
    """until: of time.monotonic; when it is cut if it is lent, closed if it is kept. mails: that
    went over it."""

    smtp: smtplib.SMTP
    until: float
    mails: int = 0


class Connections:
    """Component: lends connections to threads, one to each at a time.

    greet: called with a new one before it is lent. deadline: seconds after which one that is being
    made, or is lent, is cut: whoever uses it sees it closed.
    """

    def __init__(self, server: Smtp, greet: Greet, context: ssl.SSLContext, deadline: float):
        self._server = server
        self._greet = greet
        self._context = context
        self._deadline = deadline
        self._lock = threading.Lock()
        self._lent: set[_Connection] = set()
        self._kept: list[_Connection] = []  # the one used last comes last
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="connections", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Keep none any more."""
        self._stopping.set()
        self._thread.join(1)

    def use(self, exchange: Callable[[smtplib.SMTP], None]) -> None:
        """Call `exchange` with a connection, to send one mail; and once more, with a new one, if
        its sender is refused over one that has carried mails. What it raises ends the connection.
        """
        connection = self._take() or self._make()
        try:
            self._lend(connection, exchange)
        except smtplib.SMTPSenderRefused:
            if not connection.mails:
                raise
            self._lend(self._make(), exchange)

    def _lend(self, connection: _Connection, exchange: Callable[[smtplib.SMTP], None]) -> None:
        try:
            exchange(connection.smtp)
        except BaseException:
            self._end(connection)
            raise
        self._give_back(connection)

    def _take(self) -> _Connection | None:
        while True:
            with self._lock:
                if not self._kept:
                    return None
                connection = self._kept.pop()
                connection.until = time.monotonic() + self._deadline
                self._lent.add(connection)
            if _is_good(connection.smtp):
                return connection
            self._end(connection)

    def _make(self) -> _Connection:
        server = self._server
        address = {"host": server.host, "port": server.port, "timeout": server.timeout}
        begun: list[_Connection] = []

        def begins(smtp: smtplib.SMTP) -> None:
            begun.append(_Connection(smtp, time.monotonic() + self._deadline))
            with self._lock:
                self._lent.add(begun[0])

        try:
            if server.tls:
                _Encrypted(begins, **address, context=self._context)
            else:
                _Plain(begins, **address)
            self._greet(begun[0].smtp)
        except BaseException:
            for connection in begun:
                self._end(connection)
            raise
        return begun[0]

    def _give_back(self, connection: _Connection) -> None:
        connection.mails += 1
        with self._lock:
            in_time = connection in self._lent
            self._lent.discard(connection)
            if in_time and connection.mails < MAILS and not self._stopping.is_set():
                connection.until = time.monotonic() + IDLE
                self._kept.append(connection)
                return
        _part(connection.smtp)

    def _end(self, connection: _Connection) -> None:
        with self._lock:
            self._lent.discard(connection)
        connection.smtp.close()

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK):
            now = time.monotonic()
            self._cut_late(now)
            self._close_kept(now)
        self._close_kept(math.inf)

    def _cut_late(self, now: float) -> None:
        with self._lock:
            self._lent -= {c for c in self._lent if c.until < now and _cut(c.smtp)}

    def _close_kept(self, now: float) -> None:
        with self._lock:
            old = [connection for connection in self._kept if connection.until < now]
            self._kept = [connection for connection in self._kept if connection.until >= now]
        for connection in old:
            _part(connection.smtp)


class _Watched:
    """Tells of itself before it waits for the server, whose greeting may drip."""

    def __init__(self, begun: Greet, **address: Any):
        self._begun = begun
        super().__init__(**address)

    def connect(self, *address: Any, **named: Any) -> tuple[int, bytes]:
        assert isinstance(self, smtplib.SMTP)
        self._begun(self)
        greeting: tuple[int, bytes] = super().connect(*address, **named)  # type: ignore[misc]
        return greeting


class _Plain(_Watched, smtplib.SMTP):
    pass


class _Encrypted(_Watched, smtplib.SMTP_SSL):
    pass


def _is_good(smtp: smtplib.SMTP) -> bool:
    """Whether the server is there, and begins anew."""
    try:
        code, _ = smtp.rset()
    except (smtplib.SMTPException, OSError):
        return False
    return code == 250


def _part(smtp: smtplib.SMTP) -> None:
    """Say goodbye, and wait for no answer: nothing depends on it."""
    assert smtp.sock is not None
    with contextlib.suppress(smtplib.SMTPException, OSError):
        smtp.sock.settimeout(0)
        smtp.putcmd("quit")
    smtp.close()


def _cut(smtp: smtplib.SMTP) -> bool:
    """End a read that another thread is blocked in; it sees the connection closed. False if there
    is nothing to end yet: while it is being connected, or TLS begins.

    Not by the method of an SSLSocket, which would pull the TLS state from under the reader.
    """
    if (sock := smtp.sock) is None:
        return False
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return False
    return True
