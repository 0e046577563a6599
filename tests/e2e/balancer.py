"""What stands before several gateways: it knows from /readyz which of them may be asked."""

import itertools
import threading
from types import TracebackType

import httpx

_PERIOD = 0.1  # seconds between two looks
_TIMEOUT = 2.0  # seconds, of a look


class Balancer(httpx.BaseTransport):
    """Takes each request to the next gateway that was ready when last asked. Connections are kept
    until the gateway ends them, and no request is sent twice."""

    def __init__(self, addresses: list[str]):
        self._addresses = [httpx.URL(address) for address in addresses]
        self._ready: list[httpx.URL] = []
        self._turns = itertools.count()
        self._connections = httpx.HTTPTransport(limits=httpx.Limits(keepalive_expiry=None))
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, daemon=True)

    def __enter__(self) -> "Balancer":
        with httpx.Client(timeout=_TIMEOUT) as client:
            self._look(client)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self._stopping.set()
        self._thread.join(2 * _TIMEOUT)
        self._connections.close()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        ready = self._ready
        chosen = ready[next(self._turns) % len(ready)]
        request.url = request.url.copy_with(host=chosen.host, port=chosen.port)
        return self._connections.handle_request(request)

    def _keep_looking(self) -> None:
        with httpx.Client(timeout=_TIMEOUT) as client:
            while not self._stopping.wait(_PERIOD):
                self._look(client)

    def _look(self, client: httpx.Client) -> None:
        found = [a for a in self._addresses if _is_ready(client, a)]
        self._ready = found or self._addresses  # one of them may be by now


def _is_ready(client: httpx.Client, address: httpx.URL) -> bool:
    try:
        return client.get(address.join("/readyz")).is_success
    except httpx.TransportError:
        return False
