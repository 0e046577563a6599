"""The API's successful answers."""

import msgspec
from starlette.responses import Response

from rollcall.users.v1.commands_pb2 import CommandResult
from rollcall_gateway.call import Call
from rollcall_gateway.gateway import Gateway
from rollcall_gateway.history import Events
from rollcall_gateway.preconditions import entity_tag, not_modified
from rollcall_gateway.representations import Role, Roles, User, Users

MEDIA_TYPE = "application/json"


def created(
    gateway: Gateway, call: Call, result: CommandResult, shown: User | Role, location: str
) -> Response:
    headers = {**_command_headers(gateway, call, result), "Location": location}
    return _json(shown, 201, headers)


def changed(gateway: Gateway, call: Call, result: CommandResult, shown: User | Role) -> Response:
    return _json(shown, 200, _command_headers(gateway, call, result))


def done(gateway: Gateway, call: Call, result: CommandResult) -> Response:
    return Response(status_code=204, headers=_command_headers(gateway, call, result))


def found(gateway: Gateway, call: Call, shown: User | Role) -> Response:
    headers = {"ETag": entity_tag(shown.version), **gateway.token(call)}
    if not_modified(call.headers.getlist("if-none-match"), shown.version):
        return Response(status_code=304, headers=headers)
    return _json(shown, 200, headers)


def page(gateway: Gateway, call: Call, shown: Users | Roles | Events) -> Response:
    return _json(shown, 200, gateway.token(call))


def _command_headers(gateway: Gateway, call: Call, result: CommandResult) -> dict[str, str]:
    return {"ETag": entity_tag(result.version), **gateway.token(call, result.position)}


def _json(shown: msgspec.Struct, status: int, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(shown), status, headers=headers, media_type=MEDIA_TYPE)
