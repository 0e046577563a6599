"""Every replica is started anew, one of each service at a time, while users are made."""

from collections.abc import Iterator
from itertools import zip_longest

import pytest
from e2e.balancer import Balancer
from e2e.local_platform import Platform
from e2e.posted import all_there, goes_on
from e2e.posting import Posting
from e2e.waiting import eventually

_PAIRS = ("gateway", "email-notification", "slack-notification")
_STARTED = 40.0  # seconds


@pytest.fixture
def pairs(platform: Platform) -> Iterator[None]:
    """Of what runs once: one replica goes on while the other is started anew."""
    for service in _PAIRS:
        platform.run("scale", service, "2")
    yield
    for service in _PAIRS:
        platform.run("scale", service, "1")


@pytest.mark.usefixtures("pairs")
def test_no_request_fails_and_nothing_is_lost_or_repeated(platform: Platform, token: str) -> None:
    first = platform.ports["GATEWAY_PORT"]
    gateways = [platform.url, platform.url.replace(str(first), str(first + 1))]
    rounds = _rounds(platform)
    assert [len(replicas) for replicas in rounds] == [4, 4, 1]
    with Balancer(gateways) as balancer, Posting(platform.url, token, balancer) as posting:
        for replicas in rounds:
            goes_on(posting)
            ended = [platform.end(replica) for replica in replicas]
            eventually(lambda ended=ended: all(map(platform.revived, ended)), within=_STARTED)  # type: ignore[misc]
        goes_on(posting)
    assert posting.others() == []
    all_there(platform, posting)


def _rounds(platform: Platform) -> list[list[str]]:
    """In each, the replicas that end: one of each service that has any left."""
    services = platform.status()["services"]
    names = [[replica["id"] for replica in service["replicas"]] for service in services]
    return [[name for name in turn if name is not None] for turn in zip_longest(*names)]
