"""What a route is: the row of the table in app.py."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
from starlette.types import ASGIApp

from rollcall_gateway.bodies import NoQuery
from rollcall_gateway.call import Call
from rollcall_gateway.gateway import Gateway

JSON = ("application/json",)
MERGE_PATCH = ("application/merge-patch+json", "application/json")

Handler = Callable[[Gateway, Call], Awaitable[ASGIApp]]


@dataclass(frozen=True)
class Operation:
    """One method of one path. Everything under /v1 needs a token and takes only the parameters
    that its query struct has."""

    method: str
    path: str
    handler: Handler
    summary: str
    status: int
    answer: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] = NoQuery
    conditional: bool = False  # takes If-Match
    keyed: bool = False  # takes Idempotency-Key
    exports: tuple[str, ...] = ()  # media types as which all of it is streamed

    @property
    def secured(self) -> bool:
        return self.path.startswith("/v1/")

    @property
    def media_types(self) -> tuple[str, ...]:
        return MERGE_PATCH if self.method == "PATCH" else JSON

    @property
    def is_command(self) -> bool:
        return self.secured and self.method != "GET"
