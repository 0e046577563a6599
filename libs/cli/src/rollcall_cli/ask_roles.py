"""The live roles of the running platform, asked of user-management."""

from collections.abc import Iterator, Mapping

from rollcall.users.v1 import queries_pb2 as pb
from rollcall.users.v1.queries_pb2_grpc import UserQueryServiceStub
from rollcall_cli.ask_services import call, channel
from rollcall_cli.users_file import Role, same
from rollcall_local.home import Home

_SERVICE = "user-management"
_PAGE = 200


def by_id_and_name(home: Home) -> Mapping[str, Role]:
    """By their ids, and by `same` of their names. Raises NotRunning, PlatformError."""
    found: dict[str, Role] = {}
    with channel(home, _SERVICE) as opened:
        for role in _listed(UserQueryServiceStub(opened)):
            found[role.id] = Role(role.id, role.name)
            if not role.conflict:  # else another one has the name
                found[same(role.name)] = found[role.id]
    return found


def _listed(stub: UserQueryServiceStub) -> Iterator[pb.Role]:
    cursor = b""
    while True:
        request = pb.ListRolesRequest(page_size=_PAGE, cursor=cursor)
        answer = call(_SERVICE, stub.ListRoles, request)
        yield from answer.roles
        cursor = answer.next_cursor
        if not cursor:
            return
