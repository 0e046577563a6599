"""Slack's client with an end to all that is asked for a message, however slowly answers drip.

The SDK has a timeout for each operation of a socket, and none for a call. So it is given
connections that are cut at the deadline of the thread that makes them. Until one is made, also by
a proxy, the SDK's own timeout has to do.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.request import HTTPHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from slack_sdk import WebClient


class _Deadline:
    """Cuts the connections that are made until it is left, once `seconds` have passed."""

    def __init__(self, seconds: float):
        self._lock = threading.Lock()
        self._passed = False
        self._lines: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for line in self._lines:
                line.close()
            self._lines.clear()

    def watch(self, sock: socket.socket) -> None:
        """A copy, which stays the connection's own whatever TLS makes of the socket."""
        line = sock.dup()
        with self._lock:
            self._lines.append(line)
            if self._passed:
                _cut(line)

    def _pass(self) -> None:
        with self._lock:
            self._passed = True
            for line in self._lines:
                _cut(line)


def _cut(line: socket.socket) -> None:
    """End a read that another thread is blocked in; it sees the connection closed."""
    with contextlib.suppress(OSError):  # the server has closed it
        line.shutdown(socket.SHUT_RDWR)


_DEADLINE: ContextVar[_Deadline] = ContextVar("deadline")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What this thread asks of a BoundedClient in the block ends in time: it fails if need be."""
    deadline = _Deadline(seconds)
    token = _DEADLINE.set(deadline)
    try:
        with deadline:
            yield
    finally:
        _DEADLINE.reset(token)


class _Plain(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        _DEADLINE.get().watch(self.sock)


class _Encrypted(HTTPSConnection, _Plain):
    """Watched before TLS begins, because HTTPSConnection connects by what comes after it."""


class _PlainHandler(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_Plain, req)


class _EncryptedHandler(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_Encrypted, req)


class BoundedClient(WebClient):
    """To be used `within` a deadline."""

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
        """As the SDK's own, which builds its connections itself."""
        proxied = [ProxyHandler({"http": self.proxy, "https": self.proxy})] if self.proxy else []
        opener = build_opener(_PlainHandler(), _EncryptedHandler(), *proxied)
        with opener.open(req, timeout=self.timeout) as answer:
            body = answer.read().decode(answer.headers.get_content_charset() or "utf-8")
            return {"status": answer.code, "headers": answer.headers, "body": body}
