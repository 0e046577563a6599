"""The history over HTTP: timelines, the audit trail, and users as they were."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import pytest

from rollcall_gateway.negotiation import preferred
from rollcall_gateway.testing import TOPIC_ID, Memory, RefusedError
from rollcall_gateway.tokens import ConsistencyTokens, Positions

ACTOR = "users/01900000-0000-7000-8000-000000000001"
UNKNOWN = "/v1/users/01900000-0000-7000-8000-00000000ffff"


def create(api: httpx.Client, who: str = "ada", **headers: str) -> str:
    """The path of a new user."""
    body = {"email": f"{who}@example.com", "name": who.title()}
    return api.post("/v1/users", json=body, headers=headers).headers["Location"]


def types(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [e["type"].rpartition(".")[2] for e in answer.json()["events"]]


def between(memory: Memory) -> str:
    """A moment after all that has happened, and before all that follows."""
    then = datetime.now(UTC)
    while datetime.now(UTC) - then < timedelta(microseconds=2):
        time.monotonic()
    return then.isoformat().replace("+00:00", "Z")


def test_a_timeline_tells_each_event_whole(api: httpx.Client) -> None:
    path = create(api, **{"X-Correlation-Id": "request-7"})
    api.patch(path, json={"name": "Ada L."})
    answer = api.get(f"{path}/events")
    first, second = answer.json()["events"]
    assert answer.json()["next_page_token"] is None
    assert "ETag" not in answer.headers
    assert set(first) == {
        "id", "type", "version", "recorded_at", "occurred_at", "actor", "correlation_id",
        "causation_id", "subject", "rejected", "changes", "position",
    }  # fmt: skip
    assert first["type"] == "rollcall.users.v1.UserCreatedEvent"
    assert (first["version"], second["version"]) == (1, 2)
    assert first["actor"] == {"id": ACTOR, "name": None}
    assert (first["correlation_id"], first["causation_id"]) == ("request-7", None)
    assert first["subject"] == path.removeprefix("/v1/")
    assert first["rejected"] is None
    assert first["recorded_at"].endswith("Z")
    assert second["changes"] == [{"field": "name", "old": "Ada", "new": "Ada L."}]
    assert first["position"].keys() == {"topic", "partition", "offset"}
    assert first["position"]["topic"] == "users"


def test_a_timeline_goes_on_after_the_deletion_and_begins_with_the_creation(
    api: httpx.Client,
) -> None:
    path = create(api)
    api.delete(path)
    assert types(api.get(f"{path}/events")) == ["UserCreatedEvent", "UserDeletedEvent"]
    newest_first = api.get(f"{path}/events?order_by=-recorded_at")
    assert types(newest_first) == ["UserDeletedEvent", "UserCreatedEvent"]
    unknown = api.get(f"{UNKNOWN}/events")
    assert (unknown.status_code, unknown.json()["type"]) == (
        404,
        "urn:rollcall:problem:user-not-found",
    )


def test_the_trail_is_filtered_and_paged(api: httpx.Client, memory: Memory) -> None:
    ada = create(api).removeprefix("/v1/")
    then = between(memory)
    create(api, "eve")
    api.post("/v1/roles", json={"name": "editor", "permissions": []})

    def found(**filters: Any) -> list[str]:
        return types(api.get("/v1/events", params=filters))

    everything = ["UserCreatedEvent", "UserCreatedEvent", "RoleCreatedEvent"]
    assert found() == everything
    assert found(type="RoleCreatedEvent") == ["RoleCreatedEvent"]
    assert found(subject=ada) == ["UserCreatedEvent"]
    assert found(since=then) == everything[1:]
    assert found(until=then) == everything[:1]
    assert found(actor=ACTOR, until=then, subject=ada) == everything[:1]
    assert found(actor="services/nobody") == []
    first = api.get("/v1/events?page_size=2").json()
    token = first["next_page_token"]
    assert types(api.get(f"/v1/events?page_token={token}")) == everything[2:]
    for other in ("type=RoleCreatedEvent", "order_by=-recorded_at", f"subject={ada}"):
        refused = api.get(f"/v1/events?page_token={token}&{other}")
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "page_token")
    of_one = api.get(f"/v1/{ada}/events?page_token={token}")
    assert of_one.status_code == 400


def test_a_token_is_honoured(api: httpx.Client) -> None:
    created = api.post("/v1/users", json={"email": "a@example.com", "name": "A"})
    seen = {"Consistency-Token": created.headers["Consistency-Token"]}
    for path in ("/v1/events", f"{created.headers['Location']}/events"):
        answer = api.get(path, headers=seen)
        assert (answer.status_code, answer.headers["Consistency-Token"]) == (200, *seen.values())
    ahead = ConsistencyTokens(b"a secret of the tests, and long enough").write(
        Positions(TOPIC_ID, {7: 41})
    )
    for accept in ("application/json", "text/csv"):
        headers = {"Consistency-Token": ahead, "Accept": accept}
        assert api.get("/v1/events", headers=headers).status_code == 504


def test_a_user_is_shown_as_it_was(api: httpx.Client, memory: Memory) -> None:
    before = between(memory)
    path = create(api)
    then = between(memory)
    api.patch(path, json={"name": "Ada L."})
    at, version = api.get(path, params={"at": then}), api.get(f"{path}?version=1")
    for answer in (at, version):
        assert (answer.json()["name"], answer.headers["ETag"]) == ("Ada", '"1"')
    assert api.get(path, params={"at": between(memory)}).json()["version"] == 2
    assert api.get(path, params={"at": before}).status_code == 404
    assert api.get(f"{path}?version=3").status_code == 404
    unchanged = api.get(f"{path}?version=1", headers={"If-None-Match": '"1"'})
    assert (unchanged.status_code, unchanged.headers["ETag"]) == (304, '"1"')
    assert api.get(f"{path}?version=1", headers={"If-None-Match": '"2"'}).status_code == 200


def test_a_moment_that_is_not_reached_is_504_and_says_what_is(
    api: httpx.Client, memory: Memory
) -> None:
    reached = {"reached": "2026-01-01T00:00:00Z"}
    code = grpc.StatusCode.DEADLINE_EXCEEDED
    memory.faults.append(RefusedError(code, "MOMENT_NOT_REACHED", metadata=reached))
    answer = api.get("/v1/users?at=2026-01-02T00:00:00Z")
    assert (answer.status_code, answer.json()["reached"]) == (504, reached["reached"])


def test_a_moment_may_have_any_zone(api: httpx.Client, memory: Memory) -> None:
    path = create(api)
    east = (datetime.now(UTC) + timedelta(hours=2)).isoformat().replace("+00:00", "+02:00")
    assert api.get(path, params={"at": east}).status_code == 200
    assert api.get(f"{path}?at={east}").status_code == 422  # the + was not written %2B


MOMENTS = (
    "", "now", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "1767225600",
    "2026-02-30T00:00:00Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00Z", "20260101T000000Z",
    "2026-01-01T00:00:00%2B0200", "0001-01-01T00:00:00%2B01:00", "2026-01-01T25:00:00Z", "%00",
    "2026-01-01T00:00:00Z%0A", "%D9%A1026-01-01T00:00:00Z", "2026-W01-1T00:00:00Z",
)  # fmt: skip


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_is_no_moment_is_named(api: httpx.Client, moment: str) -> None:
    for path, field in (
        (UNKNOWN, "at"),
        ("/v1/users", "at"),
        ("/v1/events", "since"),
        (f"{UNKNOWN}/events", "until"),
    ):
        answer = api.get(f"{path}?{field}={moment}")
        assert answer.status_code == 422, (path, answer.text)
        assert [e["field"] for e in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("request_", "status", "fields"),
    [
        (f"{UNKNOWN}?at=2026-01-01T00:00:00Z&version=1", 422, ["at", "version"]),
        (f"{UNKNOWN}?version=0", 422, ["version"]),
        (f"{UNKNOWN}?version=1.5", 422, ["version"]),
        (f"{UNKNOWN}?version={2**63}", 422, ["version"]),
        (f"{UNKNOWN}/events?subject=users/x", 400, ["subject"]),
        ("/v1/events?since=x&until=y", 422, ["since", "until"]),
        ("/v1/events?order_by=type", 422, ["order_by"]),
        ("/v1/events?page_size=201", 422, ["page_size"]),
        ("/v1/events?at=2026-01-01T00:00:00Z", 400, ["at"]),
        ("/v1/users/ada/events", 422, ["id"]),
    ],
)
def test_what_cannot_be_asked_is_named(
    api: httpx.Client, request_: str, status: int, fields: list[str]
) -> None:
    answer = api.get(request_)
    assert answer.status_code == status
    assert [e["field"] for e in answer.json()["errors"]] == fields


JSON, CSV, NDJSON = "application/json", "text/csv", "application/x-ndjson"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ([], JSON),
        ([""], JSON),
        (["*/*"], JSON),
        (["text/html"], JSON),
        (["nonsense"], JSON),
        ([CSV], CSV),
        (["Text/CSV; charset=utf-8"], CSV),
        (["text/*"], CSV),
        ([NDJSON], NDJSON),
        (["text/csv, application/json"], JSON),
        (["text/csv, application/json;q=0.9"], CSV),
        (["text/csv;q=0.5, */*;q=0.1"], CSV),
        (["text/csv;q=0.5, */*"], JSON),
        (["*/*, application/json;q=0.1, text/csv;q=0.2"], NDJSON),
        (["text/csv;q=0"], JSON),
        (["text/csv;q=x, application/x-ndjson;q=0.1"], NDJSON),
        (["text/csv;q=0.2", "application/x-ndjson; q=0.7"], NDJSON),
    ],
)
def test_the_form_is_the_one_that_is_wanted_most(accept: list[str], media_type: str) -> None:
    assert preferred(accept, (JSON, CSV, NDJSON)) == media_type
