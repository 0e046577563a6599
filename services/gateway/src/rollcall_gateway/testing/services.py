"""The two services over the memory."""
# ruff: noqa: N802  (gRPC names the methods)

from collections.abc import Callable
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2_grpc

from rollcall.users.v1 import commands_pb2, commands_pb2_grpc, queries_pb2, queries_pb2_grpc
from rollcall.users.v1.events_pb2 import USER_STATUS_ACTIVE
from rollcall_gateway.representations import from_struct, to_struct
from rollcall_gateway.testing.history import TOPIC
from rollcall_gateway.testing.memory import Aggregate, Code, Memory, RefusedError

LONGEST_NAME = 200

Result = commands_pb2.CommandResult


async def _enter(memory: Memory) -> None:
    if memory.pause is not None:
        memory.entered.set()
        await memory.pause.wait()


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


def fingerprint(request: Any) -> bytes:
    """What must be the same in a repetition: all but the context and the id of what is created."""
    asked = type(request)()
    asked.CopyFrom(request)
    asked.ClearField("context")
    made = {commands_pb2.CreateUserRequest: "user_id", commands_pb2.CreateRoleRequest: "role_id"}
    if type(asked) in made:
        asked.ClearField(made[type(asked)])
    name: str = asked.DESCRIPTOR.full_name
    encoded: bytes = asked.SerializeToString(deterministic=True)
    return name.encode() + encoded


class Commands(commands_pb2_grpc.UserCommandServiceServicer):
    def __init__(self, memory: Memory):
        self.memory = memory
        self._handlers: dict[type[Any], Callable[[Any], Result]] = {
            commands_pb2.CreateUserRequest: self._create_user,
            commands_pb2.UpdateUserRequest: self._update_user,
            commands_pb2.DeleteUserRequest: lambda r: self._delete(queries_pb2.User, r.user_id, r),
            commands_pb2.AssignRoleRequest: lambda r: self._assign(r, held=True),
            commands_pb2.UnassignRoleRequest: lambda r: self._assign(r, held=False),
            commands_pb2.CreateRoleRequest: self._create_role,
            commands_pb2.UpdateRoleRequest: self._update_role,
            commands_pb2.DeleteRoleRequest: lambda r: self._delete(queries_pb2.Role, r.role_id, r),
        }

    async def ExecuteCommands(
        self, request: commands_pb2.ExecuteCommandsRequest, context: Any
    ) -> commands_pb2.ExecuteCommandsResponse:
        requests = [getattr(c, str(c.WhichOneof("command"))) for c in request.commands]
        self.memory.groups.append(len(requests))
        self.memory.contexts.extend(r.context for r in requests)
        await _enter(self.memory)
        if self.memory.group_faults:
            await self.memory.group_faults.popleft().abort(context)
        outcomes = [self._outcome(r) for r in requests]
        return commands_pb2.ExecuteCommandsResponse(outcomes=outcomes)

    def _outcome(self, request: Any) -> commands_pb2.CommandOutcome:
        try:
            return commands_pb2.CommandOutcome(result=self._once(request))
        except RefusedError as error:
            return commands_pb2.CommandOutcome(error=error.status().SerializeToString())

    async def _alone(self, request: Any, context: Any) -> Result:
        self.memory.seconds_left.append(context.time_remaining())
        self.memory.contexts.append(request.context)
        await _enter(self.memory)
        try:
            return self._once(request)
        except RefusedError as error:
            return await error.abort(context)

    CreateUser = UpdateUser = DeleteUser = AssignRole = UnassignRole = _alone
    CreateRole = UpdateRole = DeleteRole = _alone

    def _once(self, request: Any) -> Result:
        command_id, asked = request.context.command_id, fingerprint(request)
        self.memory.fail(command_id)
        if command_id not in self.memory.answered:
            self.memory.answered[command_id] = asked, self._handlers[type(request)](request)
            self.memory.history.note(request, self.memory.answered[command_id][1])
        first, result = self.memory.answered[command_id]
        if asked != first:
            raise RefusedError(Code.INVALID_ARGUMENT, "COMMAND_ID_REUSED")
        return result

    def _create_user(self, request: commands_pb2.CreateUserRequest) -> Result:
        user = queries_pb2.User(
            id=request.user_id,
            email=request.email,
            name=request.name,
            locale=request.locale,
            attributes=request.attributes,
            status=USER_STATUS_ACTIVE,
            version=1,
        )
        return self._store_user(user)

    def _store_user(self, user: queries_pb2.User) -> Result:
        _check_name(user.name)
        if "@" not in user.email:
            raise _invalid("email", "is not an e-mail address")
        self.memory.claim(user, user.email, "EMAIL_TAKEN", "email")
        user.updated_at.GetCurrentTime()
        if user.version == 1:
            user.created_at.CopyFrom(user.updated_at)
        return _result(self.memory, user, user.id, user=user)

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

    def _delete(self, kind: type[Aggregate], aggregate_id: str, request: Any) -> Result:
        aggregate = self.memory.get(kind, aggregate_id)
        _expect(aggregate, request)
        self.memory.release(aggregate_id)
        self.memory.deleted.add(aggregate_id)
        aggregate.version += 1
        return _result(self.memory, aggregate, aggregate_id)

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

    def _create_role(self, request: commands_pb2.CreateRoleRequest) -> Result:
        role = queries_pb2.Role(
            id=request.role_id,
            name=request.name,
            description=request.description,
            permissions=request.permissions,
            version=1,
        )
        return self._store_role(role)

    def _store_role(self, role: queries_pb2.Role) -> Result:
        _check_name(role.name)
        self.memory.claim(role, role.name, "ROLE_NAME_TAKEN", "name")
        return _result(self.memory, role, role.id, role=role)

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
        await _enter(self.memory)
        try:
            self.memory.fail()
            self.memory.require(request.after)
            return act()
        except RefusedError as error:
            await error.abort(context)

    async def GetUser(self, request: queries_pb2.GetUserRequest, context: Any) -> Any:
        return await self._query(request, context, lambda: self._user(request))

    async def GetRole(self, request: queries_pb2.GetRoleRequest, context: Any) -> Any:
        return await self._query(
            request, context, lambda: self.memory.get(queries_pb2.Role, request.id)
        )

    async def ListUsers(self, request: queries_pb2.ListUsersRequest, context: Any) -> Any:
        return await self._query(request, context, lambda: self._users(request))

    async def ListRoles(self, request: queries_pb2.ListRolesRequest, context: Any) -> Any:
        return await self._query(request, context, lambda: self._roles(request))

    async def ListEvents(self, request: queries_pb2.ListEventsRequest, context: Any) -> Any:
        return await self._query(request, context, lambda: self._events(request))

    def _user(self, request: queries_pb2.GetUserRequest) -> queries_pb2.User:
        if request.WhichOneof("as_of") is None:
            found: queries_pb2.User = self.memory.get(queries_pb2.User, request.id)
            return found
        then = self.memory.history.user(request)
        if then is None:
            raise RefusedError(Code.NOT_FOUND, "USER_NOT_FOUND")
        return then

    def _events(self, request: queries_pb2.ListEventsRequest) -> queries_pb2.ListEventsResponse:
        chosen = self.memory.history.chosen(request)
        if request.HasField("subject") and not chosen:
            kind = request.subject.partition("/")[0].upper().removesuffix("S")
            raise RefusedError(Code.NOT_FOUND, f"{kind}_NOT_FOUND")
        start = int(request.cursor or b"0")
        end = start + request.page_size
        cursor = str(end).encode() if end < len(chosen) else b""
        return queries_pb2.ListEventsResponse(
            events=chosen[start:end], next_cursor=cursor, topic=TOPIC
        )

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


def new_server(memory: Memory, max_calls: int | None = None) -> grpc.aio.Server:
    """Not started and without a port: the caller adds one. Ends with its event loop."""
    options = [("grpc.so_reuseport", 0)]
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=max_calls)
    commands_pb2_grpc.add_UserCommandServiceServicer_to_server(Commands(memory), server)
    queries_pb2_grpc.add_UserQueryServiceServicer_to_server(Queries(memory), server)
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    return server
