"""A client of replicas that know that the log is away is told at once, however often it asks."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from rollcall.users.v1 import commands_pb2
from rollcall.users.v1.commands_pb2_grpc import UserCommandServiceStub
from rollcall_events import LogUnavailable
from rollcall_local import ports
from rollcall_user_management.api.server import GrpcServer
from rollcall_user_management.commands.lanes import LogNotSeen, StoreBehindLog

ATTEMPTS = 5
WITHIN = 2.0  # seconds for all of them
PAUSES = "9s"  # between them, for what a replica says nothing about


class Away:
    """Refuses all commands."""

    def __init__(self) -> None:
        self.asked = 0
        self.refusal: Exception = LogUnavailable("no broker answers")

    async def handle(self, command: object) -> None:
        self.asked += 1
        raise self.refusal


@pytest.fixture
def away() -> Away:
    return Away()


@pytest.fixture
def client(away: Away) -> Iterator[UserCommandServiceStub]:
    port = ports.free_port()
    server = GrpcServer(ports.HOST, port, away.handle, _none, _none, [])
    server.start()
    options = [("grpc.service_config", json.dumps(_trying_again()))]
    with grpc.insecure_channel(f"{ports.HOST}:{port}", options) as channel:
        yield UserCommandServiceStub(channel)
    server.stop()


def test_it_asks_again_without_a_pause(client: UserCommandServiceStub, away: Away) -> None:
    assert _refused(client) is grpc.StatusCode.UNAVAILABLE
    assert away.asked == ATTEMPTS


@pytest.mark.parametrize("refusal", [LogNotSeen(), StoreBehindLog()])
def test_what_may_be_over_soon_is_waited_for(
    client: UserCommandServiceStub, away: Away, refusal: Exception
) -> None:
    away.refusal = refusal
    assert _refused(client) is grpc.StatusCode.DEADLINE_EXCEEDED
    assert away.asked == 1


def _refused(client: UserCommandServiceStub) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as refused:
        client.CreateUser(commands_pb2.CreateUserRequest(), timeout=WITHIN)
    code: grpc.StatusCode = refused.value.code()
    return code


async def _none(request: object) -> Any:
    raise AssertionError(request)


def _trying_again() -> dict[str, Any]:
    policy = {
        "maxAttempts": ATTEMPTS,
        "initialBackoff": PAUSES,
        "maxBackoff": PAUSES,
        "backoffMultiplier": 1,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    service = {"service": "rollcall.users.v1.UserCommandService"}
    return {"methodConfig": [{"name": [service], "retryPolicy": policy}]}
