"""uvicorn on an event loop in a thread of its own, as a component that starts and stops."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import uvicorn
import uvloop
from starlette.types import ASGIApp

from rollcall_gateway.health import Readiness
from rollcall_gateway.protocol import BoundedHttp
from rollcall_service.settings import SettingsError

log = logging.getLogger(__name__)

START_SECONDS = 10.0
LEAVING_SECONDS = 1.0  # for whoever stands before several gateways to notice that one stops
DRAIN_SECONDS = 2  # for the requests in hand when it stops
CANCELLED_SECONDS = 0.5  # for those that outlast it, to answer that they were cut short
ANSWER_SECONDS = 2.0  # for a question from another thread
_KEEP_ALIVE_SECONDS = 75  # longer than the idle timeout of common proxies, 60 s


@dataclass(frozen=True)
class Served:
    """What exists only while the loop runs."""

    app: ASGIApp
    readiness: Readiness


def listen(host: str, port: int) -> socket.socket:
    """Bound before anything starts, so that a taken port is one clear line."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = error.strerror or "unknown host"
        raise SettingsError(f"GATEWAY_PORT: can't listen on {host}:{port}: {reason}") from None
    return listener


class HttpServer:
    """Serves from start() until stop(); `failed` is set if it ends without being asked to."""

    def __init__(
        self, listener: socket.socket, opened: Callable[[], AbstractAsyncContextManager[Served]]
    ):
        self.failed = threading.Event()
        self.port = int(listener.getsockname()[1])
        self._listener = listener
        self._opened = opened
        self._accepting = threading.Event()
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._readiness: Readiness | None = None
        self._server: _Server | None = None

    def start(self) -> None:
        """Returns when connections are accepted."""
        self._thread.start()
        self._accepting.wait(START_SECONDS)
        if self.failed.is_set() or not self._accepting.is_set():
            raise RuntimeError("the HTTP server did not start")

    def stop(self) -> None:
        """For LEAVING_SECONDS it is not ready any more and each answer ends its connection. Then it
        accepts no more, finishes what is in hand within DRAIN_SECONDS, and ends."""
        if self._server is not None and self._readiness is not None:
            self._readiness.leave()
            self._ask(self._server.left())
            self._server.should_exit = True
        self._thread.join(DRAIN_SECONDS + CANCELLED_SECONDS + 1)

    def healthy(self) -> bool:
        """The event loop moves."""
        return self._ask(asyncio.sleep(0, result=True))

    def ready(self) -> bool:
        return self._readiness is not None and self._ask(self._readiness.ready())

    def _ask(self, question: Coroutine[Any, Any, bool]) -> bool:
        """From another thread."""
        loop = self._loop
        if loop is None or not loop.is_running():
            question.close()
            return False
        try:
            return asyncio.run_coroutine_threadsafe(question, loop).result(ANSWER_SECONDS)
        except TimeoutError:
            return False

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except Exception:  # a thread's exception is seen by nobody; `failed` ends the process
            log.exception("the HTTP server failed")
        finally:
            if self._server is None or not self._server.should_exit:
                self.failed.set()
            self._accepting.set()

    async def _serve(self) -> None:
        async with self._opened() as served:
            self._loop = asyncio.get_running_loop()
            self._readiness = served.readiness
            self._server = _Server(_config(served.app), self._accepting)
            await self._server.serve(sockets=[self._listener])
            await self._server.cancelled()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, accepting: threading.Event):
        super().__init__(config)
        self._accepting = accepting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._accepting.set()

    async def left(self) -> bool:
        """Ends each connection with its next answer, for LEAVING_SECONDS."""
        ending = (b"connection", b"close")
        self.config.encoded_headers.append(ending)
        self.server_state.default_headers.append(ending)  # made of those once a second
        await asyncio.sleep(LEAVING_SECONDS)
        return True

    async def cancelled(self) -> None:
        """uvicorn cancels what outlasts the drain but does not wait for it."""
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=CANCELLED_SECONDS)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=BoundedHttp,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
