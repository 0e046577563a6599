"""What surrounds every request: identity, overload, the last resort, headers and measures."""

import asyncio
import logging
import time

from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rollcall_events.tracing import within
from rollcall_gateway import metrics, problems, tracing
from rollcall_gateway.auth import Authenticator
from rollcall_gateway.call import correlation_id
from rollcall_gateway.headers import Headers

log = logging.getLogger(__name__)

CLIENT_GONE = 499  # in metrics only: nobody was left to be answered
_SAFE_METHODS = frozenset({"GET", "HEAD"})


class Edge:
    def __init__(self, app: ASGIApp, authenticator: Authenticator, max_in_flight: int):
        self._app = app
        self._authenticator = authenticator
        self._max_in_flight = max_in_flight
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope["parsed_headers"] = Headers(scope["headers"])
        scope["correlation_id"] = correlation_id(headers)
        answer = _Answer(scope, send)
        started = time.perf_counter()
        scope["trace"], span = tracing.begin(scope, headers, wanted=_is_api(scope))
        with metrics.IN_FLIGHT.track_inprogress(), within(span):
            await self._contained(scope, headers, receive, answer)
        done = (scope["method"], _template(scope), answer.status)
        if span is not None:
            tracing.end(span, *done)
        metrics.request_done(*done, time.perf_counter() - started)

    async def _contained(
        self, scope: Scope, headers: Headers, receive: Receive, answer: "_Answer"
    ) -> None:
        """Whatever happens becomes an answer, or the visible end of one that has begun."""
        try:
            await self._admitted(scope, headers, receive, answer)
        except problems.Problem as problem:
            await answer.refuse(problem, receive)
        except ClientDisconnect:
            pass
        except asyncio.CancelledError:
            # Only the server cancels requests: it stops, and they outlasted its patience. The
            # task ends with this answer, so the cancellation is obeyed.
            await answer.refuse(_cut_short(scope["method"]), receive)
        except Exception as error:  # the last resort: a fault of ours must not end the connection
            log.error("a request failed", exc_info=error, extra=_where(scope))
            await answer.refuse(problems.internal(), receive)

    async def _admitted(
        self, scope: Scope, headers: Headers, receive: Receive, answer: "_Answer"
    ) -> None:
        if not _is_api(scope):
            await self._app(scope, receive, answer)
            return
        if self._in_flight >= self._max_in_flight:
            raise problems.unavailable("The gateway has too much to do; try again.", "overloaded")
        self._in_flight += 1
        try:
            scope["actor"] = self._authenticator.actor(headers.getlist("authorization"))
            await self._app(scope, receive, answer)
        finally:
            self._in_flight -= 1


class _Answer:
    """Sends an answer with the headers that all have, and remembers its status."""

    def __init__(self, scope: Scope, send: Send):
        self.status = CLIENT_GONE
        self._begun = False
        self._scope = scope
        self._send = send
        self._headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"x-correlation-id", scope["correlation_id"].encode("latin-1")),
        ]
        if _is_api(scope):
            self._headers.append((b"cache-control", b"no-store"))

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._begun = True
            message["headers"] = [*message["headers"], *self._headers]
        await self._send(message)

    async def refuse(self, problem: problems.Problem, receive: Receive) -> None:
        """The problem as the answer. One that has begun, a long one, is cut off instead, so that
        nobody takes what came of it for the whole."""
        if not self._begun:
            await problem.response()(self._scope, receive, self)
            return
        self.status = problem.status
        log.warning("an answer was cut off", extra={**_where(self._scope), "kind": problem.kind})
        self._scope["state"]["reset"]()
        while (await receive())["type"] != "http.disconnect":
            pass


def _is_api(scope: Scope) -> bool:
    path: str = scope["path"]
    return path == "/v1" or path.startswith("/v1/")


def _cut_short(method: str) -> problems.Problem:
    if method in _SAFE_METHODS:
        return problems.unavailable("The gateway is stopping; try again.", "stopping")
    return problems.outcome_unknown()


def _template(scope: Scope) -> str:
    route = scope.get("route")
    return route.path if isinstance(route, Route) else metrics.UNMATCHED


def _where(scope: Scope) -> dict[str, str]:
    return {
        "method": scope["method"],
        "route": _template(scope),
        "correlation_id": scope["correlation_id"],
    }
