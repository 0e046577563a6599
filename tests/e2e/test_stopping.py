"""A replica that is told to stop while a provider hangs: what it sends holds up no partition."""

from collections.abc import Iterator

import httpx
import psutil  # type: ignore[import-untyped]
import pytest
from e2e.halting import halted
from e2e.local_platform import Platform
from e2e.messages import welcomes
from e2e.people import create
from e2e.stores import rows
from e2e.waiting import eventually

_SERVICE = "email-notification"
_PARTITIONS = list(range(50))
_WITHIN = 40.0  # seconds


@pytest.fixture
def pair(platform: Platform) -> Iterator[None]:
    platform.run("scale", _SERVICE, "2")
    yield
    platform.run("scale", _SERVICE, "1")


@pytest.mark.usefixtures("pair")
def test_its_partitions_are_anothers_while_it_waits_for_the_mail_server(
    platform: Platform, api: httpx.Client
) -> None:
    first, second = (replica["id"] for replica in platform.replicas(_SERVICE))
    eventually(lambda: len(_held(platform, second)) == len(_PARTITIONS) / 2, within=_WITHIN)
    with halted(int(platform.processes()["mailbox"]["pid"])):
        emails = {create(api, "hung").json()["email"] for _ in range(8)}
        eventually(lambda: _in_flight(platform, first), within=_WITHIN)
        ended = platform.end(first)
        eventually(lambda: _held(platform, second) == _PARTITIONS, within=_WITHIN)
        assert psutil.pid_exists(ended.pid)
    eventually(lambda: platform.revived(ended), within=_WITHIN)
    eventually(lambda: emails <= welcomes(platform).keys(), within=_WITHIN)
    assert {len(ids) for email, ids in welcomes(platform).items() if email in emails} == {1}


def _held(platform: Platform, name: str) -> list[int]:
    (replica,) = (r for r in platform.replicas(_SERVICE) if r["id"] == name)
    held: list[int] = (replica["partitions"] or {}).get("users", [])
    return held


def _in_flight(platform: Platform, name: str) -> bool:
    leased = "SELECT 1 FROM email_notification.deliveries WHERE leased_by LIKE %s LIMIT 1"
    return bool(rows(platform, leased, f"{name}/%"))
