"""Users loaded straight into the log: they appear, nobody is told, repeating changes nothing."""

import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2e.local_platform import Platform
from e2e.messages import mails_to, slack_messages
from e2e.people import create, new_email, second_admin
from e2e.stores import rows
from e2e.test_deliveries import listed
from e2e.waiting import eventually

from rollcall_events import KafkaSettings, TopicUnavailable, committed_offsets, log_ends
from rollcall_events.topic import ensure_topic

NOTIFYING = ("email-notification", "slack-notification")
_STATES = ("pending", "sent", "failed", "cancelled", "settled")
_WITHIN = 90.0  # seconds, with what is left of other tests

Ledgers = dict[str, dict[str, int]]


class Loading:
    """Loads, and waits until every group has come to the log's end and owes nothing."""

    def __init__(self, platform: Platform, servers: str):
        self._platform = platform
        self._settings = KafkaSettings(servers)
        self._topic = ensure_topic(self._settings, "users")

    def load(self, *arguments: str) -> tuple[dict[str, Any], Ledgers]:
        """What the command said, and what the ledgers hold afterwards."""
        said: dict[str, Any] = json.loads(self._platform.run("load", "--json", *arguments))
        return said, self.ledgers()

    def ledgers(self) -> Ledgers:
        ends = {place: end for place, end in log_ends(self._settings, self._topic).items() if end}
        for group in ("user-management", *NOTIFYING):
            eventually(lambda name=group: self._at(name, ends), within=_WITHIN)  # type: ignore[misc]
        return {
            name: eventually(lambda n=name: self._ledger(n), within=_WITHIN)  # type: ignore[misc]
            for name in NOTIFYING
        }

    def _at(self, group: str, ends: dict[int, int]) -> bool:
        try:
            come = committed_offsets(self._settings, group, self._topic)
        except TopicUnavailable:  # its coordinator is just moving
            return False
        return all(come.get(place, 0) >= end for place, end in ends.items())

    def _ledger(self, service: str) -> dict[str, int]:
        """From Postgres: what a replica says may be a second old."""
        schema = service.replace("-", "_")
        statement = f"SELECT state, count(*) FROM {schema}.deliveries GROUP BY state"
        counts = dict.fromkeys(_STATES, 0) | dict(rows(self._platform, statement))
        assert counts["pending"] == 0
        return counts


@pytest.fixture
def loading(platform: Platform, broker: str) -> Loading:
    return Loading(platform, broker)


def test_a_file(api: httpx.Client, platform: Platform, loading: Loading, tmp_path: Path) -> None:
    role = api.post("/v1/roles", json={"name": f"r-{uuid.uuid4().hex[:8]}", "permissions": []})
    taken, ada, bob = create(api, "taken").json(), new_email("ada"), new_email("bob")
    file = tmp_path / f"load-{uuid.uuid4().hex[:8]}.csv"
    file.write_text(
        "email,name,status,attributes,roles\n"
        f'{ada},Ada Loaded,,"{{""team"": ""engines""}}",{role.json()["name"]}\n'
        f"{bob},Bob Loaded,suspended,,\n"
        f"{taken['email']},Taken Loaded,,,\n"
    )
    with second_admin(api, platform) as other:
        before = loading.ledgers()
        dry = json.loads(platform.run("load", "--json", "--dry-run", str(file)))
        assert (dry["events"], found(api, ada)) == (4, [])

        said, after = loading.load(str(file))
        assert (said["source"], said["users"], said["events"]) == (f"/imports/{file.stem}", 3, 4)
        assert changes(before, after) == {
            "email-notification": {"settled": 4},
            "slack-notification": {"settled": 4 * 2},  # there are two admins
        }
        (shown,) = found(api, ada)
        expected = {"name": "Ada Loaded", "attributes": {"team": "engines"}, "version": 2}
        assert shown.items() >= expected.items()
        assert [r["id"] for r in shown["roles"]] == [role.json()["id"]]
        assert [u["status"] for u in found(api, bob)] == ["suspended"]
        assert sorted(u["conflict"] for u in found(api, taken["email"])) == [False, True]
        assert {d["state"] for d in listed(platform, "--user", shown["id"])} == {"settled"}

        assert loading.load(str(file))[1] == after
        assert found(api, ada) == [shown]
        nobody_was_told(api, platform, other["email"], ada, bob)


def test_synthetic_users(api: httpx.Client, loading: Loading) -> None:
    label = f"s-{uuid.uuid4().hex[:8]}"
    asked = ("--synthetic", "20", "--events", "200", "--label", label)
    before = loading.ledgers()
    said, after = loading.load(*asked)
    assert (said["users"], said["events"], said["label"]) == (20, 200, label)
    changed = changes(before, after)
    assert [set(states) for states in changed.values()] == [{"settled"}] * 2
    assert changed["email-notification"]["settled"] >= 150
    assert changed["slack-notification"]["settled"] >= 100  # sign-ins are none of its business
    (newest, *_) = api.get("/v1/users", params={"order_by": "-created_at"}).json()["users"]
    of_load = {"q": newest["email"].partition("@")[2], "page_size": 200}
    users = api.get("/v1/users", params=of_load).json()["users"]
    assert 18 <= len(users) <= 20  # some were deleted
    assert loading.load(*asked)[1] == after
    assert api.get("/v1/users", params=of_load).json()["users"] == users


def test_what_is_wrong_in_a_file_is_told_by_lines(platform: Platform, tmp_path: Path) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text(f"email,name,roles\n{new_email('a')},A,\n{new_email('b')},B,no-such-role\n")
    said = platform.ask("load", str(file))
    assert said.code == 1
    assert said.err.startswith(f"{file}:3: roles have 'no-such-role', which is no role\n")


def found(api: httpx.Client, email: str) -> list[dict[str, Any]]:
    return list(api.get("/v1/users", params={"email": email}).json()["users"])


def changes(before: Ledgers, after: Ledgers) -> Ledgers:
    """How many more are in a state than before, where that has changed."""
    return {
        name: {s: n - before[name][s] for s, n in after[name].items() if n != before[name][s]}
        for name in NOTIFYING
    }


def nobody_was_told(api: httpx.Client, platform: Platform, admin: str, *emails: str) -> None:
    """Of what was loaded; although of what came afterwards they were."""
    user = create(api, "later", name=f"Later {uuid.uuid4().hex[:8]}").json()
    eventually(lambda: bool(mails_to(platform, user["email"])), within=_WITHIN)
    eventually(lambda: _told(platform, admin, user["name"]), within=_WITHIN)
    assert [mails_to(platform, email) for email in emails] == [[]] * len(emails)
    assert not _told(platform, admin, "Loaded")


def _told(platform: Platform, admin: str, name: str) -> bool:
    return any(name in text for text in slack_messages(platform, admin))
