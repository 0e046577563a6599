"""The running platform's services, asked over gRPC."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import grpc

from rollcall_local import client
from rollcall_local.client import NotRunning
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home

_WITHIN = 30.0  # seconds for a call


class NotThere(PlatformError):
    """The service has no such thing."""


class NotNow(PlatformError):
    """Something is in the way, as the message says."""


def channels(home: Home, services: Iterable[str]) -> Iterator[tuple[str, grpc.Channel]]:
    """To one replica of each, closed when the next is asked for. Raises NotRunning."""
    for service in services:
        with channel(home, service) as one:
            yield service, one


@contextmanager
def channel(home: Home, service: str) -> Iterator[grpc.Channel]:
    """To one replica. Raises NotRunning."""
    replicas = {s["name"]: s["replicas"] for s in client.status(home)["services"]}
    running = [r["grpc"] for r in replicas[service] if r["state"] == "running"]
    if not running:
        raise NotRunning(f"no replica of {service} runs: see `rollcall status`")
    with closing(grpc.insecure_channel(running[0])) as opened:
        yield opened


def call(service: str, rpc: Callable[..., Any], request: Any) -> Any:
    """Raises NotRunning, NotThere, NotNow or another PlatformError."""
    try:
        return rpc(request, timeout=_WITHIN)
    except grpc.RpcError as error:
        said = f"{service}: {error.details()}"
        match error.code():
            case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED:
                raise NotRunning(said) from None
            case grpc.StatusCode.NOT_FOUND:
                raise NotThere(said) from None
            case grpc.StatusCode.FAILED_PRECONDITION:
                raise NotNow(said) from None
            case _:
                raise PlatformError(said) from None
