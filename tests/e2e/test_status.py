"""Who holds what, as each replica reports itself, and what scaling makes of it."""

from typing import Any

import pytest
from e2e.kafka_log import PARTITIONS
from e2e.local_platform import Platform
from e2e.posting import Posting
from e2e.waiting import eventually

ALL = list(range(PARTITIONS))


def test_the_document(platform: Platform) -> None:
    status = platform.status()
    assert status.keys() == {"broker", "postgres", "services", "parts"}
    assert status["broker"]["kind"] in ("kafka", "embedded")
    assert {s["name"]: s["group"] for s in status["services"]} == {
        "user-management": "user-management",
        "email-notification": "email-notification",
        "slack-notification": "slack-notification",
        "gateway": None,
    }
    for replica in (r for service in status["services"] for r in service["replicas"]):
        assert replica.keys() == {
            *("id", "pid", "state", "partitions", "lag_records", "lag_seconds"),
        }
        assert replica["state"] == "running"
    assert {"postgres", "mailbox", "slack"} < {part["name"] for part in status["parts"]}
    for part in status["parts"]:
        assert part.keys() == {"name", "pid", "state", "address"}
        assert part["state"] == "running"


def test_three_replicas_divide_the_partitions(platform: Platform) -> None:
    _shared(platform, "user-management", [17, 17, 16])


@pytest.mark.parametrize("service", ["email-notification", "slack-notification"])
def test_a_single_replica_holds_them_all(platform: Platform, service: str) -> None:
    _shared(platform, service, [50])


def test_nobody_lags(platform: Platform) -> None:
    for service in ("user-management", "email-notification", "slack-notification"):
        eventually(lambda name=service: _caught_up(platform.replicas(name)), within=10)  # type: ignore[misc]


def test_scaling_is_not_noticed_by_clients(platform: Platform, token: str) -> None:
    with Posting(platform.url, token) as posting:
        platform.run("scale", "user-management", "5")
        _shared(platform, "user-management", [10] * 5)
        platform.run("scale", "user-management", "3")
        _shared(platform, "user-management", [17, 17, 16])
    assert posting.others() == []
    assert len(posting.created()) >= 20


def _shared(platform: Platform, service: str, shares: list[int]) -> None:
    """Asked again where a replica was too slow to say what it holds."""
    replicas = eventually(lambda: _answered(platform.replicas(service)), within=10)
    assert _shares(replicas) == shares


def _answered(replicas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    assert all(replica["partitions"] is not None for replica in replicas)
    return replicas


def _shares(replicas: list[dict[str, Any]]) -> list[int]:
    """How many partitions each holds, the most first; together all of them, each once."""
    held = [replica["partitions"]["users"] for replica in replicas]
    assert sorted(partition for share in held for partition in share) == ALL
    return sorted(map(len, held), reverse=True)


def _caught_up(replicas: list[dict[str, Any]]) -> bool:
    return all(replica["lag_records"] == 0 for replica in replicas)
