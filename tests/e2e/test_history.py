"""A life as the history tells it: to the API's clients, in a spreadsheet, on the command line."""

import csv
import io
import json
import uuid
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from e2e.local_platform import Platform
from e2e.outside import publish_plainly, record_of
from e2e.people import UNKNOWN_ID, create, seen
from e2e.waiting import eventually

from rollcall.users.v1 import events_pb2 as pb
from rollcall_local import credentials, tokens
from rollcall_local.home import Home

CSV = {"Accept": "text/csv"}
NDJSON = {"Accept": "application/x-ndjson"}


@dataclass(frozen=True)
class Life:
    """Of a user who got a role, signed in, was renamed and deleted, and was then sent a change."""

    path: str
    role: dict[str, str]
    sign_in: tuple[int, int]  # where it is in the log
    events: list[dict[str, Any]]

    @property
    def id(self) -> str:
        return self.path.rpartition("/")[2]


@pytest.fixture
def life(api: httpx.Client, broker: str) -> Life:
    name = f"editor-{uuid.uuid4().hex[:8]}"
    role = api.post("/v1/roles", json={"name": name, "permissions": []})
    path = create(api, "ada").headers["Location"]
    id_ = path.rpartition("/")[2]
    api.put(f"{path}/roles/{role.json()['id']}", headers=seen(role))
    sign_in = publish_plainly(broker, record_of(id_, pb.UserLoggedInEvent(user_id=id_)))
    api.patch(path, json={"name": "Countess"}, headers={"X-Correlation-Id": "request-7"})
    assert api.delete(path).status_code == 204
    publish_plainly(broker, record_of(id_, pb.UserUpdatedEvent(user_id=id_)))

    def all_six() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = api.get(f"{path}/events").json()["events"]
        assert len(found) == 6
        return found

    reference = {"id": role.json()["id"], "name": name}
    return Life(path, reference, sign_in, eventually(all_six, within=20))


def test_a_life_is_told_to_its_end_and_after(api: httpx.Client, life: Life) -> None:
    events = life.events
    assert [(e["type"].rpartition(".")[2], e["version"], e["rejected"]) for e in events] == [
        ("UserCreatedEvent", 1, None),
        ("RoleAssignedToUserEvent", 2, None),
        ("UserLoggedInEvent", None, None),
        ("UserUpdatedEvent", 3, None),
        ("UserDeletedEvent", 4, None),
        ("UserUpdatedEvent", None, "the user was deleted"),
    ]
    first = api.get("/v1/users", params={"email": "admin@example.com"}).json()["users"][0]
    by_admin = {"id": f"users/{first['id']}", "name": first["name"]}
    assert [e["actor"] for e in events] == [by_admin, by_admin, None, by_admin, by_admin, None]
    assert events[1]["changes"] == [{"field": "roles", "old": None, "new": life.role}]
    assert events[3]["changes"] == [{"field": "name", "old": "Ada", "new": "Countess"}]
    assert events[3]["correlation_id"] == "request-7"
    assert {e["subject"] for e in events} == {f"users/{life.id}"}
    place = events[2]["position"]
    assert (place["partition"], place["offset"]) == life.sign_in


def test_the_past_is_shown_here_and_on_the_command_line(
    api: httpx.Client, platform: Platform, life: Life
) -> None:
    at = api.get(life.path, params={"at": life.events[3]["recorded_at"]})
    assert (at.json()["name"], at.headers["ETag"]) == ("Countess", '"3"')
    then = json.loads(platform.run("users", "get", life.id, "--version", "2", "--json"))
    assert (then["name"], then["roles"]) == ("Ada", [life.role])
    assert json.loads(platform.run("users", "history", life.id, "--json")) == life.events
    assert "rejected: the user was deleted" in platform.run("users", "history", life.id)
    assert platform.ask("users", "get", life.id).code == 1


def test_the_trail_is_of_one_actor_and_one_type(api: httpx.Client, platform: Platform) -> None:
    acting, other = create(api, "grace"), create(api, "eve")
    actor = f"users/{acting.json()['id']}"
    _as(api, platform, actor).patch(other.headers["Location"], json={"name": "E"})
    last = _as(api, platform, actor).patch(other.headers["Location"], json={"name": "Eve"})
    query = {"actor": actor, "type": "UserUpdatedEvent", "order_by": "-recorded_at"}
    found = api.get("/v1/events", params=query, headers=seen(last)).json()["events"]
    assert [e["version"] for e in found] == [3, 2]
    assert found[0]["actor"] == {"id": actor, "name": "Grace"}
    assert api.get(f"/v1/events?subject=users/{UNKNOWN_ID}").status_code == 404
    assert api.get("/v1/events?type=UserRenamed").json()["errors"][0]["field"] == "type"
    assert api.get("/v1/events?actor=ada").json()["errors"][0]["field"] == "actor"
    assert api.get("/v1/events?subject=ada").json()["errors"][0]["field"] == "subject"


@pytest.mark.parametrize("filters", [{}, {"type": "UserCreatedEvent"}])
def test_an_export_is_all_the_pages(api: httpx.Client, filters: dict[str, str]) -> None:
    created = create(api, "ada")
    until = api.get(created.headers["Location"], headers=seen(created)).json()["created_at"]
    asked = {"until": until, **filters}
    whole: list[dict[str, Any]] = []
    token = ""
    while not whole or token:
        page = api.get("/v1/events", params={**asked, "page_size": "7", "page_token": token}).json()
        whole += page["events"]
        token = page["next_page_token"] or ""
    lines = api.get("/v1/events", params=asked, headers=NDJSON).text.splitlines()
    assert [json.loads(line) for line in lines] == whole
    rows = _rows(api.get("/v1/events", params=asked, headers=CSV))
    assert [row["id"] for row in rows] == [e["id"] or "" for e in whole]
    assert [json.loads(row["changes"]) for row in rows] == [e["changes"] for e in whole]


def test_nobodys_name_is_a_formula(api: httpx.Client, platform: Platform) -> None:
    formula = '=HYPERLINK("http://x.example","Ada")'
    actor = f"users/{create(api, 'mallory', name=formula).json()['id']}"
    other = create(api, "ada").headers["Location"]
    changed = _as(api, platform, actor).patch(
        other, json={"name": formula}, headers={"X-Correlation-Id": "+1+1"}
    )
    query = {"actor": actor}
    (row,) = _rows(api.get("/v1/events", params=query, headers=CSV | seen(changed)))
    assert (row["actor_name"], row["correlation_id"]) == (f"'{formula}", "'+1+1")
    assert json.loads(row["changes"])[0]["new"] == formula
    (line,) = api.get("/v1/events", params=query, headers=NDJSON).text.splitlines()
    assert json.loads(line)["actor"]["name"] == formula


def _as(api: httpx.Client, platform: Platform, actor: str) -> httpx.Client:
    """The same API with another's token."""
    secret = credentials.token_secret(Home(platform.home))
    assert secret
    api.headers["Authorization"] = f"Bearer {tokens.mint(secret, actor)}"
    return api


def _rows(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))
