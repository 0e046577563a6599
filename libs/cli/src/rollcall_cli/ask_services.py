"""The running platform's services, asked over gRPC."""

import threading
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
        raise _said(service, error) from None


def stream(service: str, rpc: Callable[..., Any], request: Any) -> Iterator[Any]:
    """The messages of an answer that may take long, but has to go on. Raises as `call`."""
    answers = rpc(request)
    try:
        while True:
            silence = threading.Timer(_WITHIN, answers.cancel)
            silence.start()
            try:
                message = next(answers, None)
            finally:
                silence.cancel()
            if message is None:
                return
            yield message
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.CANCELLED:
            raise NotRunning(f"{service}: has not answered for {_WITHIN:.0f} s") from None
        raise _said(service, error) from None
    finally:
        answers.cancel()


def _said(service: str, error: grpc.RpcError) -> NotRunning | PlatformError:
    said = f"{service}: {error.details()}"
    match error.code():
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED:
            return NotRunning(said)
        case grpc.StatusCode.NOT_FOUND:
            return NotThere(said)
        case grpc.StatusCode.FAILED_PRECONDITION:
            return NotNow(said)
    return PlatformError(said)
