"""The spans of a request and of its command, and what of the trace goes on to the event.

Commands of several traces share one call of gRPC, so that a trace goes on in each command and not
in the call. A span has the route's template and never the path or the query, which may name people.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import Span, SpanKind
from starlette.types import Scope

from rollcall_events import tracing
from rollcall_events.tracing import Carried
from rollcall_gateway import metrics
from rollcall_gateway.failures import Failure
from rollcall_gateway.headers import Headers

_SERVICE = "rollcall.users.v1.UserCommandService"
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_MEMBER = (
    r"[a-z0-9][a-z0-9_\-*/]{0,240}(@[a-z][a-z0-9_\-*/]{0,13})?=[\x21-\x2b\x2d-\x3c\x3e-\x7e]{1,256}"
)
_TRACESTATE = re.compile(rf"{_MEMBER}(,{_MEMBER}){{0,31}}")
MAX_TRACESTATE = 512  # characters, which W3C wants carried at least; user-management takes no more


def begin(scope: Scope, headers: Headers, *, wanted: bool) -> tuple[Carried, Span | None]:
    """The trace that goes on from a request, and its span, if it is wanted and sampled. The trace
    is the span's, else the caller's, else a new one that nobody samples."""
    given = _given(headers)
    if wanted:
        method = metrics.known(scope["method"])
        attributes = {"http.request.method": method, "url.scheme": scope["scheme"]}
        span = tracing.begin(given, method, SpanKind.SERVER, attributes)
        if span is not None:
            return tracing.carried(span), span
    return given or _unsampled(), None


def end(span: Span, method: str, route: str, status: int) -> None:
    span.update_name(f"{metrics.known(method)} {route}")
    span.set_attributes({"http.route": route, "http.response.status_code": status})
    if status >= 500:
        tracing.failed(span, str(status))
    span.end()


@contextmanager
def command(outer: Carried, kind: str) -> Iterator[Carried]:
    """Around the sending of a command. kind: of rollcall.users.v1.Command. Yields what the command
    carries."""
    method = f"{_SERVICE}/{kind.title().replace('_', '')}"
    attributes = {"rpc.system.name": "grpc", "rpc.method": method}
    span = tracing.child_of(*outer, method, SpanKind.CLIENT, attributes)
    if span is None:
        yield outer
        return
    try:
        yield tracing.carried(span)
        span.set_attribute("rpc.response.status_code", "OK")
    except Failure as failure:
        span.set_attribute("rpc.response.status_code", failure.code.name)
        tracing.failed(span, failure.reason or failure.code.name)
        raise
    finally:
        span.end()


def _given(headers: Headers) -> Carried | None:
    """The caller's trace, if it is well formed."""
    parent = headers.get("traceparent")
    if not _TRACEPARENT.fullmatch(parent) or set(parent[3:35]) == {"0"}:
        return None
    state = headers.get("tracestate")
    carried = len(state) <= MAX_TRACESTATE and _TRACESTATE.fullmatch(state)
    return Carried(parent, state if carried else "")


def _unsampled() -> Carried:
    new = secrets.token_hex(24)
    return Carried(f"00-{new[:32]}-{new[32:]}-00", "")
