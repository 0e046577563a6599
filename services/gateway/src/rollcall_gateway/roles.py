"""/v1/roles"""

from starlette.responses import Response

from rollcall.users.v1 import commands_pb2, queries_pb2
from rollcall.users.v1.commands_pb2 import Command
from rollcall_gateway import answers, bodies
from rollcall_gateway.call import Call
from rollcall_gateway.gateway import Gateway
from rollcall_gateway.patches import given, role_patch
from rollcall_gateway.representations import Roles, role
from rollcall_gateway.tokens import question_of


async def create(gateway: Gateway, call: Call) -> Response:
    body = call.body(bodies.CreateRole)
    request = commands_pb2.CreateRoleRequest(
        role_id=gateway.ids.new(),
        name=body.name,
        description=body.description or "",
        permissions=body.permissions,
    )
    result = await gateway.command(call, Command(create_role=request))
    return answers.created(gateway, call, result, role(result.role), f"/v1/roles/{result.id}")


async def get(gateway: Gateway, call: Call) -> Response:
    request = queries_pb2.GetRoleRequest(id=call.id(), after=gateway.after(call))
    message = await gateway.query(call, gateway.queries.GetRole, request)
    return answers.found(gateway, call, role(message))


async def list_(gateway: Gateway, call: Call) -> Response:
    query = call.query(bodies.ListRoles)
    question = question_of("roles", query)
    request = queries_pb2.ListRolesRequest(
        after=gateway.after(call),
        name=given(query.name),
        page_size=query.page_size,
        cursor=gateway.cursor(query.page_token, question),
    )
    listed = await gateway.query(call, gateway.queries.ListRoles, request)
    token = gateway.pages.write(listed.next_cursor, question)
    return answers.page(gateway, call, Roles([role(r) for r in listed.roles], token))


async def update(gateway: Gateway, call: Call) -> Response:
    body = call.body(bodies.UpdateRole)
    request = commands_pb2.UpdateRoleRequest(
        role_id=call.id(), expected_version=call.expected_version(), **role_patch(body)
    )
    result = await gateway.command(call, Command(update_role=request))
    return answers.changed(gateway, call, result, role(result.role))


async def delete(gateway: Gateway, call: Call) -> Response:
    request = commands_pb2.DeleteRoleRequest(
        role_id=call.id(), expected_version=call.expected_version()
    )
    result = await gateway.command(call, Command(delete_role=request))
    return answers.done(gateway, call, result)
