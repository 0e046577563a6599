"""A client is told at once by replicas that know that the log is away, however many it asks."""

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

ATTEMPTS = 5
WITHIN = 4.0  # seconds for all of them
PAUSES = "9s"  # between them, for what a replica says nothing about


class Away:
    """Refuses all commands."""

    def __init__(self) -> None:
        self.asked = 0

    async def handle(self, command: object) -> None:
        self.asked += 1
        raise LogUnavailable("no broker answers")


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


def test_it_asks_another_without_a_pause(client: UserCommandServiceStub, away: Away) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        client.CreateUser(commands_pb2.CreateUserRequest(), timeout=WITHIN)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert away.asked == ATTEMPTS


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
