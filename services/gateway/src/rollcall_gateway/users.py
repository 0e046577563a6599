"""/v1/users"""

from typing import Any

from msgspec import UNSET
from starlette.responses import Response

from rollcall.users.v1 import commands_pb2, queries_pb2
from rollcall.users.v1.commands_pb2 import Command
from rollcall_gateway import answers, bodies, problems
from rollcall_gateway.call import Call
from rollcall_gateway.gateway import Gateway
from rollcall_gateway.moments import moments
from rollcall_gateway.patches import given, status_of, user_patch
from rollcall_gateway.problems import FieldError
from rollcall_gateway.representations import Users, to_struct, user
from rollcall_gateway.tokens import question_of


async def create(gateway: Gateway, call: Call) -> Response:
    body = call.body(bodies.CreateUser)
    request = commands_pb2.CreateUserRequest(
        user_id=gateway.ids.new(),
        email=body.email,
        name=body.name,
        locale=body.locale or "",
        attributes=to_struct(body.attributes or {}),
    )
    result = await gateway.command(call, Command(create_user=request))
    return answers.created(gateway, call, result, user(result.user), f"/v1/users/{result.id}")


async def get(gateway: Gateway, call: Call) -> Response:
    query = call.query(bodies.GetUser)
    request = queries_pb2.GetUserRequest(id=call.id(), after=gateway.after(call), **_as_of(query))
    message = await gateway.query(call, gateway.queries.GetUser, request)
    return answers.found(gateway, call, user(message))


async def list_(gateway: Gateway, call: Call) -> Response:
    query = call.query(bodies.ListUsers)
    question = question_of("users", query)
    request = queries_pb2.ListUsersRequest(
        after=gateway.after(call),
        query=given(query.q),
        email=given(query.email),
        role=given(query.role),
        status=status_of(query.status),
        order_by=query.order_by,
        page_size=query.page_size,
        cursor=gateway.cursor(query.page_token, question),
        **moments(query, "at"),
    )
    listed = await gateway.query(call, gateway.queries.ListUsers, request)
    token = gateway.pages.write(listed.next_cursor, question)
    return answers.page(gateway, call, Users([user(u) for u in listed.users], token))


async def update(gateway: Gateway, call: Call) -> Response:
    body = call.body(bodies.UpdateUser)
    request = commands_pb2.UpdateUserRequest(
        user_id=call.id(), expected_version=call.expected_version(), **user_patch(body)
    )
    result = await gateway.command(call, Command(update_user=request))
    return answers.changed(gateway, call, result, user(result.user))


async def delete(gateway: Gateway, call: Call) -> Response:
    request = commands_pb2.DeleteUserRequest(
        user_id=call.id(), expected_version=call.expected_version()
    )
    result = await gateway.command(call, Command(delete_user=request))
    return answers.done(gateway, call, result)


async def assign_role(gateway: Gateway, call: Call) -> Response:
    request = commands_pb2.AssignRoleRequest(
        user_id=call.id(), role_id=call.id("role_id"), expected_version=call.expected_version()
    )
    result = await gateway.command(call, Command(assign_role=request))
    return answers.done(gateway, call, result)


async def unassign_role(gateway: Gateway, call: Call) -> Response:
    request = commands_pb2.UnassignRoleRequest(
        user_id=call.id(), role_id=call.id("role_id"), expected_version=call.expected_version()
    )
    result = await gateway.command(call, Command(unassign_role=request))
    return answers.done(gateway, call, result)


def _as_of(query: bodies.GetUser) -> dict[str, Any]:
    """Fields of GetUserRequest. Raises a Problem (422)."""
    if query.version is UNSET:
        return moments(query, "at")
    if query.at is not UNSET:
        errors = [FieldError(n, "can't go with the other one") for n in ("at", "version")]
        raise problems.invalid_fields(errors)
    return {"version": query.version}
