"""The read store compared with the log, and a timeline that needs no read store."""

import json
from typing import Any

import httpx
import pytest
from e2e.local_platform import Platform
from e2e.people import create, seen
from e2e.stores import rows


@pytest.fixture
def user(api: httpx.Client) -> dict[str, Any]:
    """In the read store, with two events."""
    created = create(api, "verified")
    path = f"/v1/users/{created.json()['id']}"
    renamed = api.patch(path, json={"name": "Renamed"})
    found: dict[str, Any] = api.get(path, headers=seen(renamed)).json()
    return found


def test_a_damaged_row_is_named_and_nothing_else(user: dict[str, Any], platform: Platform) -> None:
    whole = platform.ask("verify", "--json")
    assert (whole.code, whole.err) == (0, "")
    assert json.loads(whole.out)["differences"] == []
    assert json.loads(whole.out)["records_per_second"] > 0
    asked = "SELECT last_partition, last_offset FROM users WHERE id = %s"
    [(partition, offset)] = rows(platform, asked, user["id"])
    _rename(platform, user["id"], "Eve")
    damaged, told = platform.ask("verify", "--json"), platform.ask("verify")
    _rename(platform, user["id"], user["name"])
    assert damaged.code == told.code == 1
    assert json.loads(damaged.out)["differences"] == [
        {
            "table": "users",
            "key": user["id"],
            "position": {"topic": "users", "partition": partition, "offset": offset},
            "column": "name",
            "expected": "Renamed",
            "found": "Eve",
        }
    ]
    assert f'users.name  {user["id"]}  should be "Renamed", is "Eve"' in told.out
    assert "1 difference between the read store and the log" in told.out
    assert platform.ask("verify").out.endswith("the read store is the fold of the log\n")


def test_a_timeline_is_read_from_the_log_alone(user: dict[str, Any], platform: Platform) -> None:
    ask = ("users", "history", user["id"], "--json")
    of_log = json.loads(platform.run(*ask, "--from-log"))
    of_store = json.loads(platform.run(*ask))
    assert [event["version"] for event in of_log] == [1, 2]
    assert [_without_name(event) for event in of_log] == [_without_name(e) for e in of_store]
    nobody = platform.ask("users", "history", "018f0000-0000-7000-8000-000000000001", "--from-log")
    assert (nobody.code, "the log has no event of" in nobody.err) == (1, True)


def _rename(platform: Platform, id_: str, name: str) -> None:
    change = "UPDATE users SET name = %s WHERE id = %s; COMMIT; SELECT 1"
    assert rows(platform, change, name, id_) == [(1,)]


def _without_name(event: dict[str, Any]) -> dict[str, Any]:
    """The log knows actors by their ids alone."""
    return event | {"actor": event["actor"] and event["actor"]["id"]}
