"""The routes, all of them, and the application they make."""

from collections.abc import Mapping
from itertools import groupby

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from rollcall_gateway import bodies, events, problems, roles, service, users
from rollcall_gateway.auth import Authenticator
from rollcall_gateway.call import Call, read_body, require_media_type
from rollcall_gateway.edge import Edge
from rollcall_gateway.export_forms import FORMS
from rollcall_gateway.gateway import Gateway
from rollcall_gateway.headers import Headers
from rollcall_gateway.history import Events
from rollcall_gateway.idempotency import IDEMPOTENCY_KEY, command_id, read_key
from rollcall_gateway.operations import Operation as Op
from rollcall_gateway.representations import Role, Roles, User, Users

USER, ROLE = "/v1/users/{id}", "/v1/roles/{id}"
USER_ROLE = "/v1/users/{id}/roles/{role_id}"

# Methods of one path stand together.
# fmt: off
ROUTES = [
    Op("POST",   "/v1/users", users.create, "Create a user", 201, User, bodies.CreateUser,
       keyed=True),
    Op("GET",    "/v1/users", users.list_, "List users", 200, Users, query=bodies.ListUsers),
    Op("GET",    USER, users.get, "Get a user", 200, User, query=bodies.GetUser),
    Op("PATCH",  USER, users.update, "Change a user", 200, User, bodies.UpdateUser,
       conditional=True),
    Op("DELETE", USER, users.delete, "Delete a user", 204, conditional=True),
    Op("PUT",    USER_ROLE, users.assign_role, "Assign a role", 204, conditional=True),
    Op("DELETE", USER_ROLE, users.unassign_role, "Unassign a role", 204, conditional=True),
    Op("GET",    f"{USER}/events", events.timeline, "List events of a user", 200, Events,
       query=bodies.ListTimeline),
    Op("POST",   "/v1/roles", roles.create, "Create a role", 201, Role, bodies.CreateRole,
       keyed=True),
    Op("GET",    "/v1/roles", roles.list_, "List roles", 200, Roles, query=bodies.ListRoles),
    Op("GET",    ROLE, roles.get, "Get a role", 200, Role),
    Op("PATCH",  ROLE, roles.update, "Change a role", 200, Role, bodies.UpdateRole,
       conditional=True),
    Op("DELETE", ROLE, roles.delete, "Delete a role", 204, conditional=True),
    Op("GET",    "/v1/events", events.trail, "List events", 200, Events,
       query=bodies.ListEvents, exports=tuple(FORMS)),
    Op("GET",    "/healthz", service.healthz, "Is the gateway alive?", 200),
    Op("GET",    "/readyz", service.readyz, "May it be given traffic?", 200),
    Op("GET",    "/metrics", service.metrics, "Metrics for Prometheus", 200),
    Op("GET",    "/openapi.json", service.openapi, "This document", 200),
    Op("GET",    "/docs", service.docs, "The document as a page", 200),
    Op("GET",    "/docs/{file}", service.docs_file, "A file of that page", 200),
]
# fmt: on


def build_app(gateway: Gateway, authenticator: Authenticator, max_in_flight: int) -> ASGIApp:
    by_path = groupby(ROUTES, key=lambda operation: operation.path)
    routes = [Route(path, _Methods(gateway, list(group))) for path, group in by_path]
    router = Router(routes, redirect_slashes=False, default=_not_found)
    return Edge(router, authenticator, max_in_flight)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    raise problems.unknown_route()


class _Methods:
    """All methods of one path, so that Allow names every one of them."""

    def __init__(self, gateway: Gateway, operations: list[Op]):
        self._gateway = gateway
        self._operations: Mapping[str, Op] = {o.method: o for o in operations}
        head = {"HEAD"} if "GET" in self._operations else set()
        self._allow = ", ".join(sorted(self._operations.keys() | head))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        operation = self._operations.get("GET" if method == "HEAD" else method)
        if operation is None:
            raise problems.method_not_allowed(self._allow)
        call = await _receive(operation, scope, receive)
        response = await operation.handler(self._gateway, call)
        await response(scope, receive, send)


async def _receive(operation: Op, scope: Scope, receive: Receive) -> Call:
    headers: Headers = scope["parsed_headers"]
    content = b""
    if operation.body is not None:
        require_media_type(headers, operation.media_types, patch=operation.method == "PATCH")
        content = await read_body(headers, receive)
    call = Call(
        actor=scope.get("actor", ""),
        command_id=_command_id(operation, scope, headers),
        correlation_id=scope["correlation_id"],
        trace=scope["trace"],
        headers=headers,
        path=scope["path_params"],
        query_string=scope["query_string"],
        content=content,
    )
    if operation.secured and operation.query is bodies.NoQuery:
        call.query(bodies.NoQuery)  # refuses any parameter; the others read theirs themselves
    return call


def _command_id(operation: Op, scope: Scope, headers: Headers) -> str | None:
    key = read_key(headers.getlist(IDEMPOTENCY_KEY)) if operation.keyed else None
    return key and command_id(scope["actor"], operation.method, operation.path, key)
