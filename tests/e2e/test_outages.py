"""What a client is told while a part is away: soon, what to do, and nothing for ever."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from e2e.local_platform import Killed, Platform
from e2e.people import new_email
from e2e.waiting import eventually

ANSWERED = 3.0  # seconds within which a client is told: 2, and 1 for what else the machine does
AWAY = 6  # commands sent to a platform without the part, one after the other
BACK = 30.0  # seconds from the part's return until commands are done again


@pytest.mark.parametrize("part", ["kafka", "postgres"])
def test_a_part_that_hangs(
    platform: Platform, api: httpx.Client, request: pytest.FixtureRequest, part: str
) -> None:
    if part == "kafka":
        request.getfixturevalue("kafka")
    with _stopped(int(platform.processes()[part]["pid"])):
        answers = [_create(api) for _ in range(AWAY)]
    for answer, seconds in answers:
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) > 0
        assert seconds < ANSWERED, answer.text
    eventually(lambda: _create(api)[0].status_code == 201, within=BACK)


def test_all_replicas_killed(platform: Platform, api: httpx.Client) -> None:
    replicas = platform.replicas("user-management")
    for replica in replicas:
        os.kill(int(replica["pid"]), signal.SIGKILL)
    killed = [Killed(r["id"], int(r["pid"]), time.monotonic()) for r in replicas]
    statuses: list[int] = []
    while not statuses or statuses[-1] != 201:
        answer, seconds = _create(api)
        statuses.append(answer.status_code)
        assert answer.status_code in (201, 503), answer.text
        assert answer.status_code == 201 or int(answer.headers["Retry-After"]) > 0
        assert seconds < ANSWERED, answer.text
        assert killed[0].left(BACK), f"no command was done: {statuses}"
    assert 503 in statuses
    for one in killed:
        eventually(lambda one=one: platform.revived(one), within=BACK)  # type: ignore[misc]


def _create(api: httpx.Client) -> tuple[httpx.Response, float]:
    started = time.monotonic()
    answer = api.post("/v1/users", json={"email": new_email("away"), "name": "Away"})
    return answer, time.monotonic() - started


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    """A process and its children, halted: whoever calls it gets no answer and no refusal."""
    family = _family(pid)
    for member in family:
        os.kill(member, signal.SIGSTOP)
    try:
        yield
    finally:
        for member in family:
            os.kill(member, signal.SIGCONT)


def _family(pid: int) -> list[int]:
    found = [pid]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for child in children:
        found += _family(int(child))
    return found
