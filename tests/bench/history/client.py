"""One client at the gateway: requests one after the other, each timed."""

import http.client
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

from bench.load import percentile

from rollcall_local.ports import HOST

_TIMEOUT = 30.0  # seconds
_WARM_UP = 20  # requests
_PIECE = 256 * 1024  # bytes of an export that are read at once


class Client:
    """Keeps its connection. Raises WrongAnswer for any status but 200."""

    def __init__(self, port: int, token: str):
        self._connection = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT)
        self._headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str, **parameters: Any) -> Any:
        _, body = self.timed(path, **parameters)
        return json.loads(body)

    def timed(self, path: str, **parameters: Any) -> tuple[float, bytes]:
        """Seconds until the whole answer was there, and its body."""
        asked = f"{path}?{urlencode(parameters)}" if parameters else path
        began = time.perf_counter()
        self._connection.request("GET", asked, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        seconds = time.perf_counter() - began
        if answer.status != 200:
            raise WrongAnswer(f"{asked}: {answer.status} {body[:300]!r}")
        return seconds, body

    def pieces(self, path: str, media_type: str) -> Iterator[bytes]:
        """The body as it comes, from the first byte on."""
        self._connection.request("GET", path, headers={**self._headers, "Accept": media_type})
        answer = self._connection.getresponse()
        if answer.status != 200:
            raise WrongAnswer(f"{path}: {answer.status}")
        while piece := answer.read1(_PIECE):
            yield piece

    def close(self) -> None:
        self._connection.close()


class WrongAnswer(Exception):
    """The message says to what, and which."""


Ask = Callable[[Client], float]  # one question; seconds


def milliseconds(port: int, token: str, questions: Iterable[Ask]) -> tuple[float, float]:
    """p50 and p99 of the questions, but for the first few."""
    with closing(Client(port, token)) as client:
        taken = [ask(client) for ask in questions][_WARM_UP:]
    taken.sort()
    return 1000 * percentile(taken, 50), 1000 * percentile(taken, 99)
