"""The gRPC server: commands, queries, what operators ask, health, deadlines and bounds."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from rollcall.users.v1 import commands_pb2, commands_pb2_grpc, queries_pb2_grpc
from rollcall_service.operators import CONNECTIONS, Service
from rollcall_user_management.api.errors import status_of, trailing
from rollcall_user_management.api.serving import Serving

log = logging.getLogger(__name__)

Handle = Callable[[Any], Awaitable[Any]]
HandleAll = Callable[[Sequence[Any]], Awaitable[Sequence[commands_pb2.CommandResult | Exception]]]

_OPTIONS = (
    ("grpc.so_reuseport", 0),  # a taken port is an error, not a second listener
    ("grpc.max_connection_age_ms", 300_000),  # so that new replicas get traffic
    # Calls have deadlines, but for a verification, which takes what it takes.
    ("grpc.max_connection_age_grace_ms", 86_400_000),
    ("grpc.max_receive_message_length", 4 * 1_024 * 1_024),
)
_COMMANDS = "rollcall.users.v1.UserCommandService"
_QUERIES = "rollcall.users.v1.UserQueryService"
_ASKED_BY_CLIENTS = ("", _COMMANDS, _QUERIES)
_MAX_CONCURRENT = 512
_GRACE = 2.0  # seconds that calls in flight may take at shutdown


def _rpc(handle: Handle, method: str) -> Callable[..., Awaitable[Any]]:
    async def call(self: Any, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        serving, ended = Serving(method, request), "CANCELLED"
        try:
            with serving.current():
                answer = await handle(request)
            ended = "OK"
            return answer
        except Exception as error:  # noqa: BLE001  (everything becomes a status)
            with serving.current():
                code, status = status_of(error)
            ended = code.name
            await context.abort(code, status.message, trailing(error, status))
        finally:
            serving.end(ended)

    return call


def _servicer(base: type, service: str, handle: Handle, **others: Handle) -> Any:
    """A servicer of a generated base class whose every method but `others` goes to the same
    handler."""
    handlers = {name: handle for name in vars(base) if not name.startswith("_")} | others
    methods = {name: _rpc(handler, f"{service}/{name}") for name, handler in handlers.items()}
    return type(base.__name__, (base,), methods)()


def executing(handle_all: HandleAll) -> Handle:
    """Of ExecuteCommands: each command is seen by itself, also where the call ends early."""

    async def execute(
        request: commands_pb2.ExecuteCommandsRequest,
    ) -> commands_pb2.ExecuteCommandsResponse:
        asked = [getattr(c, c.WhichOneof("command") or "create_user") for c in request.commands]
        servings = [Serving(_method_of(command), command) for command in asked]
        try:
            outcomes = await handle_all(asked)
        except BaseException as error:
            code = status_of(error)[0].name if isinstance(error, Exception) else "CANCELLED"
            for serving in servings:
                serving.end(code)
            raise
        answers = map(_outcome, outcomes, servings)
        return commands_pb2.ExecuteCommandsResponse(outcomes=answers)

    return execute


def _method_of(command: Any) -> str:
    return f"{_COMMANDS}/{type(command).__name__.removesuffix('Request')}"


def _outcome(
    outcome: commands_pb2.CommandResult | Exception, serving: Serving
) -> commands_pb2.CommandOutcome:
    if isinstance(outcome, Exception):
        with serving.current():
            code, status = status_of(outcome)
        serving.end(code.name)
        return commands_pb2.CommandOutcome(error=status.SerializeToString())
    serving.end("OK")
    return commands_pb2.CommandOutcome(result=outcome)


class GrpcServer:
    """Serves on its own event loop and thread, from `start` until `stop`. Clients are told that it
    does by `show`."""

    def __init__(
        self,
        host: str,
        port: int,
        command: Handle,
        commands: HandleAll,
        query: Handle,
        operators: Sequence[Service],
    ):
        self.failed = threading.Event()
        self._address = f"{host}:{port}"
        self._command, self._commands, self._query = command, commands, query
        self._operators = operators
        self._blocking = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="operators")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="grpc", daemon=True)
        self._server: grpc.aio.Server | None = None
        self._health: HealthServicer | None = None

    def start(self) -> None:
        self._thread.start()
        self._run(self._start()).result(10)

    def stop(self) -> None:
        """Take no new calls, finish those in flight, end."""
        self._run(self._stop()).result(_GRACE + 2)
        self._blocking.shutdown(wait=False, cancel_futures=True)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=2)

    def show(self, serving: bool) -> None:
        """Tell whoever asks for this server's health whether commands and queries are answered."""
        asyncio.run_coroutine_threadsafe(self._set_health(_ASKED_BY_CLIENTS, serving), self._loop)

    async def _set_health(self, names: Sequence[str], serving: bool) -> None:
        status = health_pb2.HealthCheckResponse
        if self._health is not None:
            for name in names:
                await self._health.set(name, status.SERVING if serving else status.NOT_SERVING)

    async def _start(self) -> None:
        self._server = grpc.aio.server(
            migration_thread_pool=self._blocking,  # of handlers that are no coroutines
            options=_OPTIONS,
            maximum_concurrent_rpcs=_MAX_CONCURRENT,
        )
        commands_pb2_grpc.add_UserCommandServiceServicer_to_server(
            _servicer(
                commands_pb2_grpc.UserCommandServiceServicer,
                _COMMANDS,
                self._command,
                ExecuteCommands=executing(self._commands),
            ),
            self._server,
        )
        queries_pb2_grpc.add_UserQueryServiceServicer_to_server(
            _servicer(queries_pb2_grpc.UserQueryServiceServicer, _QUERIES, self._query),
            self._server,
        )
        for service in self._operators:
            service.add(self._server)
        self._health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        await self._set_health(_ASKED_BY_CLIENTS, serving=False)
        await self._set_health([service.name for service in self._operators], serving=True)
        self._server.add_insecure_port(self._address)
        await self._server.start()
        log.info("serving", extra={"address": self._address})

    async def _stop(self) -> None:
        if self._health is not None:
            await self._health.enter_graceful_shutdown()
        if self._server is not None:
            await self._server.stop(_GRACE)

    def _run(self, coroutine: Any) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
