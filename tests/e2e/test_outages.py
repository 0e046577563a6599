"""What a client is told while a part is away: soon, what to do, and nothing for ever."""

import os
import signal
import time

import grpc
import httpx
import psutil  # type: ignore[import-untyped]
import pytest
from e2e.halting import all_halted, halted
from e2e.local_platform import Ended, Platform
from e2e.people import new_email
from e2e.waiting import eventually

from rollcall.users.v1 import commands_pb2
from rollcall.users.v1.commands_pb2_grpc import UserCommandServiceStub
from rollcall_events.ids import uuid7

ANSWERED = 3.0  # seconds within which a client is told: 2, and 1 for what else the machine does
AWAY = 6  # commands sent to a platform without the part, one after the other
STALLED = 3.0  # seconds; a replica that did not run for 2 admits nothing that waited for it
BACK = 30.0  # seconds from the part's return until commands are done again


@pytest.mark.parametrize("part", ["kafka", "postgres"])
def test_a_part_that_hangs(
    platform: Platform, api: httpx.Client, request: pytest.FixtureRequest, part: str
) -> None:
    if part == "kafka":
        request.getfixturevalue("kafka")
    with all_halted(int(platform.processes()[part]["pid"])):
        answers = [_create(api) for _ in range(AWAY)]
    for answer, seconds in answers:
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0
        assert seconds < ANSWERED, answer.text
    eventually(lambda: _create(api)[0].status_code == 201, within=BACK)


def test_all_replicas_killed(platform: Platform, api: httpx.Client) -> None:
    replicas = platform.replicas("user-management")
    # Nobody starts them again while this is asked, however fast they would be back.
    with halted(psutil.Process(int(replicas[0]["pid"])).ppid()):
        for replica in replicas:
            os.kill(int(replica["pid"]), signal.SIGKILL)
        answers = [_create(api) for _ in range(AWAY)]
    killed = [Ended(r["id"], int(r["pid"]), time.monotonic()) for r in replicas]
    statuses = [answer.status_code for answer, _ in answers]
    assert set(statuses) == {503}
    while statuses[-1] != 201:
        answers.append(_create(api))
        statuses.append(answers[-1][0].status_code)
        assert killed[0].left(BACK), f"no command was done: {statuses}"
    for answer, seconds in answers:
        assert answer.status_code in (201, 503), answer.text
        assert answer.status_code == 201 or int(answer.headers["Retry-After"]) > 0
        assert seconds < ANSWERED, answer.text
    for one in killed:
        eventually(lambda one=one: platform.revived(one), within=BACK)  # type: ignore[misc]


def test_what_waited_at_a_stalled_replica_is_not_done_when_it_goes_on(
    platform: Platform, api: httpx.Client
) -> None:
    """Its client has repeated it elsewhere meanwhile, and was refused."""
    email, other = new_email("wanted"), new_email("other")
    command = commands_pb2.CreateUserRequest(
        context=commands_pb2.CommandContext(command_id=uuid7(), actor="services/test"),
        user_id=uuid7(),
        email=email,
        name="Late",
    )
    ports = platform.ports["USER_MANAGEMENT_PORT"]
    stalled = int(platform.processes()["user-management-2"]["pid"])
    taken = api.post("/v1/users", json={"email": email, "name": "First"})
    eventually(lambda: _found(api, email), within=BACK)
    with (
        grpc.insecure_channel(f"127.0.0.1:{ports + 1}") as late,
        grpc.insecure_channel(f"127.0.0.1:{ports}") as well,
    ):
        grpc.channel_ready_future(late).result(timeout=10)
        with all_halted(stalled):
            since = time.monotonic()
            answer = UserCommandServiceStub(late).CreateUser.future(command, timeout=60)
            with pytest.raises(grpc.RpcError) as refused:
                UserCommandServiceStub(well).CreateUser(command, timeout=5)
            assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
            # Not through the gateway, which may ask the stalled one.
            UserCommandServiceStub(well).UpdateUser(
                commands_pb2.UpdateUserRequest(
                    context=commands_pb2.CommandContext(command_id=uuid7(), actor="services/test"),
                    user_id=taken.json()["id"],
                    email=other,
                ),
                timeout=5,
            )
            # Also if it is the stalled one that would project it: its partitions move.
            eventually(lambda: _found(api, other), within=BACK)
            eventually(lambda: time.monotonic() - since > STALLED, within=BACK)
        assert answer.code() is grpc.StatusCode.UNAVAILABLE
        assert not _found(api, email)
        # Asked anew, it is decided anew, by the same replica too.
        eventually(lambda: _is_done(late, command), within=BACK)


def _found(api: httpx.Client, email: str) -> bool:
    answer = api.get("/v1/users", params={"email": email})
    return answer.status_code == 200 and bool(answer.json()["users"])


def _is_done(channel: grpc.Channel, command: commands_pb2.CreateUserRequest) -> bool:
    call = UserCommandServiceStub(channel).CreateUser.future(command, timeout=5)
    code = call.code()
    assert code in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE), call.details()
    return code is grpc.StatusCode.OK


def _create(api: httpx.Client) -> tuple[httpx.Response, float]:
    started = time.monotonic()
    answer = api.post("/v1/users", json={"email": new_email("away"), "name": "Away"})
    return answer, time.monotonic() - started
