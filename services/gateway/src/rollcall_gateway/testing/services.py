"""The two services over the memory."""
# ruff: noqa: N802  (gRPC names the methods)

from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2_grpc

from rollcall.users.v1 import commands_pb2, commands_pb2_grpc, queries_pb2, queries_pb2_grpc
from rollcall.users.v1.events_pb2 import USER_STATUS_ACTIVE
from rollcall_gateway.representations import from_struct, to_struct
from rollcall_gateway.testing.memory import Aggregate, Code, Context, Memory, RefusedError

LONGEST_NAME = 200

Result = commands_pb2.CommandResult


async def _serve(memory: Memory, context: Context, act: Callable[[], Any]) -> Any:
    try:
        if memory.pause is not None:
            memory.entered.set()
            await memory.pause.wait()
        if memory.faults:
            raise memory.faults.popleft()
        return act()
    except RefusedError as error:
        await error.abort(context)


def _invalid(field: str, description: str) -> RefusedError:
    violations = {field: description}
    return RefusedError(Code.INVALID_ARGUMENT, "INVALID_FIELD", violations=violations)


def _result(memory: Memory, aggregate: Aggregate, aggregate_id: str, **shown: Any) -> Result:
    position = memory.append(aggregate_id)
    return Result(id=aggregate_id, version=aggregate.version, position=position, **shown)


def _expect(aggregate: Aggregate, request: Any) -> None:
    if request.HasField("expected_version") and request.expected_version != aggregate.version:
        metadata = {"current_version": str(aggregate.version)}
        raise RefusedError(Code.FAILED_PRECONDITION, "VERSION_MISMATCH", metadata=metadata)


def _check_name(name: str) -> None:
    if not 0 < len(name) <= LONGEST_NAME:
        raise _invalid("name", f"must have 1 to {LONGEST_NAME} characters")


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


class Commands(commands_pb2_grpc.UserCommandServiceServicer):
    def __init__(self, memory: Memory):
        self.memory = memory

    async def _command(self, request: Any, context: Any, act: Callable[[], Result]) -> Result:
        self.memory.contexts.append(request.context)

        def once() -> Result:
            answered = self.memory.answered
            if request.context.command_id not in answered:
                answered[request.context.command_id] = act()
            return answered[request.context.command_id]

        found: Result = await _serve(self.memory, context, once)
        return found

    async def CreateUser(self, request: commands_pb2.CreateUserRequest, context: Any) -> Result:
        user = queries_pb2.User(
            id=request.user_id,
            email=request.email,
            name=request.name,
            locale=request.locale,
            attributes=request.attributes,
            status=USER_STATUS_ACTIVE,
            version=1,
        )
        return await self._command(request, context, lambda: self._store_user(user))

    def _store_user(self, user: queries_pb2.User) -> Result:
        _check_name(user.name)
        if "@" not in user.email:
            raise _invalid("email", "is not an e-mail address")
        self.memory.claim(user, user.email, "EMAIL_TAKEN", "email")
        user.updated_at.GetCurrentTime()
        if user.version == 1:
            user.created_at.CopyFrom(user.updated_at)
        return _result(self.memory, user, user.id, user=user)

    async def UpdateUser(self, request: commands_pb2.UpdateUserRequest, context: Any) -> Result:
        return await self._command(request, context, lambda: self._update_user(request))

    def _update_user(self, request: commands_pb2.UpdateUserRequest) -> Result:
        old = self.memory.get(queries_pb2.User, request.user_id)
        _expect(old, request)
        user = queries_pb2.User()
        user.CopyFrom(old)
        for name in ("email", "name", "locale"):
            if request.HasField(name):
                setattr(user, name, getattr(request, name))
        user.status = request.status or user.status
        base = {} if request.clear_attributes else from_struct(user.attributes)
        patched = to_struct(merge(base, from_struct(request.attributes_patch)))
        user.attributes.CopyFrom(patched)
        if user == old:
            return _result(self.memory, user, user.id, user=user)
        user.version += 1
        return self._store_user(user)

    async def DeleteUser(self, request: commands_pb2.DeleteUserRequest, context: Any) -> Result:
        return await self._command(
            request, context, lambda: self._delete(queries_pb2.User, request.user_id, request)
        )

    async def DeleteRole(self, request: commands_pb2.DeleteRoleRequest, context: Any) -> Result:
        return await self._command(
            request, context, lambda: self._delete(queries_pb2.Role, request.role_id, request)
        )

    def _delete(self, kind: type[Aggregate], aggregate_id: str, request: Any) -> Result:
        aggregate = self.memory.get(kind, aggregate_id)
        _expect(aggregate, request)
        self.memory.release(aggregate_id)
        self.memory.deleted.add(aggregate_id)
        aggregate.version += 1
        return _result(self.memory, aggregate, aggregate_id)

    async def AssignRole(self, request: commands_pb2.AssignRoleRequest, context: Any) -> Result:
        return await self._command(request, context, lambda: self._assign(request, held=True))

    async def UnassignRole(self, request: commands_pb2.UnassignRoleRequest, context: Any) -> Result:
        return await self._command(request, context, lambda: self._assign(request, held=False))

    def _assign(self, request: Any, *, held: bool) -> Result:
        user = self.memory.get(queries_pb2.User, request.user_id)
        role = self.memory.get(queries_pb2.Role, request.role_id)
        _expect(user, request)
        kept = [r for r in user.roles if r.id != role.id]
        if held:
            kept.append(queries_pb2.RoleReference(id=role.id, name=role.name))
        if len(kept) != len(user.roles):
            user.version += 1
        del user.roles[:]
        user.roles.extend(kept)
        return _result(self.memory, user, user.id, user=user)

    async def CreateRole(self, request: commands_pb2.CreateRoleRequest, context: Any) -> Result:
        role = queries_pb2.Role(
            id=request.role_id,
            name=request.name,
            description=request.description,
            permissions=request.permissions,
            version=1,
        )
        return await self._command(request, context, lambda: self._store_role(role))

    def _store_role(self, role: queries_pb2.Role) -> Result:
        _check_name(role.name)
        self.memory.claim(role, role.name, "ROLE_NAME_TAKEN", "name")
        return _result(self.memory, role, role.id, role=role)

    async def UpdateRole(self, request: commands_pb2.UpdateRoleRequest, context: Any) -> Result:
        return await self._command(request, context, lambda: self._update_role(request))

    def _update_role(self, request: commands_pb2.UpdateRoleRequest) -> Result:
        role = queries_pb2.Role()
        role.CopyFrom(self.memory.get(queries_pb2.Role, request.role_id))
        _expect(role, request)
        role.name = request.name if request.HasField("name") else role.name
        if request.HasField("description"):
            role.description = request.description
        if request.HasField("permissions"):
            role.permissions[:] = request.permissions.values
        role.version += 1
        return self._store_role(role)


class Queries(queries_pb2_grpc.UserQueryServiceServicer):
    def __init__(self, memory: Memory):
        self.memory = memory

    async def _query(self, request: Any, context: Any, act: Callable[[], Any]) -> Any:
        def after() -> Any:
            self.memory.require(request.after)
            return act()

        return await _serve(self.memory, context, after)

    async def GetUser(self, request: queries_pb2.GetUserRequest, context: Any) -> Any:
        return await self._query(
            request, context, lambda: self.memory.get(queries_pb2.User, request.id)
        )

    async def GetRole(self, request: queries_pb2.GetRoleRequest, context: Any) -> Any:
        return await self._query(
            request, context, lambda: self.memory.get(queries_pb2.Role, request.id)
        )

    async def ListUsers(self, request: queries_pb2.ListUsersRequest, context: Any) -> Any:
        return await self._query(request, context, lambda: self._users(request))

    async def ListRoles(self, request: queries_pb2.ListRolesRequest, context: Any) -> Any:
        return await self._query(request, context, lambda: self._roles(request))

    def _users(self, request: queries_pb2.ListUsersRequest) -> queries_pb2.ListUsersResponse:
        email, text = request.email.lower(), request.query.lower()
        chosen = [
            u
            for u in self.memory.all(queries_pb2.User)
            if (not request.HasField("email") or u.email.lower() == email)
            and text in f"{u.name}\n{u.email}".lower()
            and request.status in (0, u.status)
            and (not request.role or request.role in {x for r in u.roles for x in (r.id, r.name)})
        ]
        page, cursor = _page(chosen, request)
        return queries_pb2.ListUsersResponse(users=page, next_cursor=cursor)

    def _roles(self, request: queries_pb2.ListRolesRequest) -> queries_pb2.ListRolesResponse:
        roles = self.memory.all(queries_pb2.Role)
        page, cursor = _page([r for r in roles if request.name in ("", r.name)], request)
        return queries_pb2.ListRolesResponse(roles=page, next_cursor=cursor)


def _page(chosen: list[Any], request: Any) -> tuple[list[Any], bytes]:
    """The cursor is the id of the last one given."""
    last = request.cursor.decode()
    rest = sorted((a for a in chosen if a.id > last), key=lambda a: a.id)
    page = rest[: request.page_size]
    return page, page[-1].id.encode() if len(rest) > len(page) else b""


def new_server(memory: Memory) -> grpc.aio.Server:
    """Not started and without a port: the caller adds one. Ends with its event loop."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    commands_pb2_grpc.add_UserCommandServiceServicer_to_server(Commands(memory), server)
    queries_pb2_grpc.add_UserQueryServiceServicer_to_server(Queries(memory), server)
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    return server
