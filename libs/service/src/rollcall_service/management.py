"""The management port of a replica: liveness, readiness, metrics and what it holds."""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from rollcall_service.settings import SettingsError

POLL_SECONDS = 0.05  # how long a stop may wait for the thread that serves


class ManagementServer:
    """Serves GET /healthz, /readyz, /metrics and /status until stopped.

    healthy: the process does its work; an orchestrator restarts it when this turns false.
    ready: it may be given traffic. status: what the replica itself knows, as JSON.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        healthy: Callable[[], bool],
        ready: Callable[[], bool],
        status: Callable[[], Mapping[str, Any]],
    ):
        routes: dict[str, Callable[[], tuple[int, str, bytes]]] = {
            "/healthz": lambda: _verdict(healthy()),
            "/readyz": lambda: _verdict(ready()),
            "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest()),
            "/status": lambda: (200, "application/json", json.dumps(status()).encode()),
        }
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(routes))
        except OSError as error:
            raise SettingsError(f"MANAGEMENT_PORT {port}: {error.strerror}") from None
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_SECONDS,), name="management", daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=2)


def _verdict(good: bool) -> tuple[int, str, bytes]:
    return (200, "text/plain", b"ok\n") if good else (503, "text/plain", b"not now\n")


def _handler(
    routes: Mapping[str, Callable[[], tuple[int, str, bytes]]],
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # an idle connection does not hold a thread

        def do_GET(self) -> None:
            route = routes.get(self.path.partition("?")[0])
            status, content_type, body = route() if route else (404, "text/plain", b"not found\n")
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base names it)
            """Probes come every few seconds; a line for each would drown the rest."""

    return Handler
