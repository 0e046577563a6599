"""What operators ask a service over gRPC: calls that block, each with a connection to Postgres."""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import HealthServicer

from rollcall_events import TopicUnavailable
from rollcall_events.postgres import is_store_trouble
from rollcall_service.settings import SettingsError

log = logging.getLogger(__name__)

CONNECTIONS = 2  # calls at a time, each with a connection
_GRACE = 1.0  # seconds for calls in flight at shutdown


@dataclass(frozen=True)
class Service:
    """A gRPC service by its full name. add: to a server, asyncio's too if it has threads."""

    name: str
    add: Callable[[Any], None]


class InvalidField(ValueError):
    """The message names the field and says what is right."""


class Missing(LookupError):
    """The message says what there is not."""


class NotNow(RuntimeError):
    """The message says what is in the way, and what to do about it."""


class OperatorsServer:
    """Serves from `start` until `stop`. Raises SettingsError for a port that is taken."""

    def __init__(self, host: str, port: int, services: Sequence[Service]):
        self._services = services
        self._server = grpc.server(
            ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="operators"),
            options=(("grpc.so_reuseport", 0),),  # a taken port is an error, not a second listener
            maximum_concurrent_rpcs=64,
        )
        self._health = HealthServicer()
        for service in services:
            service.add(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        try:
            self.port = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError:
            raise SettingsError(f"GRPC_PORT: can't listen on {host}:{port}") from None

    def start(self) -> None:
        self._server.start()
        for name in ("", *(service.name for service in self._services)):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self) -> None:
        self._health.enter_graceful_shutdown()
        stopped: threading.Event = self._server.stop(_GRACE)
        stopped.wait(_GRACE + 1)


def answered(method: Callable[..., Any]) -> Callable[..., Any]:
    """Whatever goes wrong becomes a status that says what to do."""

    def call(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request)
        except Exception as error:  # noqa: BLE001  (everything becomes a status)
            context.abort(*refusal(error))

    return call


def refusal(error: Exception) -> tuple[grpc.StatusCode, str]:
    """The status of an error, and what to tell the operator."""
    match error:
        case InvalidField():
            return grpc.StatusCode.INVALID_ARGUMENT, str(error)
        case Missing():
            return grpc.StatusCode.NOT_FOUND, str(error)
        case NotNow():
            return grpc.StatusCode.FAILED_PRECONDITION, str(error)
        case TopicUnavailable():
            return grpc.StatusCode.UNAVAILABLE, f"Kafka is away, or was: {error}"
    if is_store_trouble(error):
        return (
            grpc.StatusCode.UNAVAILABLE,
            "Postgres is away, or was: look what was done, and try again",
        )
    log.error("a call failed", exc_info=error)
    return grpc.StatusCode.INTERNAL, "an unexpected error; see the service's log"
