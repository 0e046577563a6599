"""Users and roles over HTTP, as a client sees them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from rollcall_gateway.testing import TOPIC_ID, Memory
from rollcall_gateway.tokens import ConsistencyTokens, Positions

ADA = {"email": "ada@example.com", "name": "Ada"}
ATTRIBUTES = {"count": 3, "ratio": 0.5, "tags": ["a", None, {"deep": [True]}], "note": "two\nlines"}
TOKENS = ConsistencyTokens(b"a secret of the tests, and long enough")


def create(api: httpx.Client, **changed: Any) -> dict[str, Any]:
    answer = api.post("/v1/users", json=ADA | changed)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_created_user_is_shown_located_and_tagged(api: httpx.Client) -> None:
    answer = api.post("/v1/users", json=ADA | {"locale": "en", "attributes": ATTRIBUTES})
    user = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/users/{user['id']}"
    assert answer.headers["ETag"] == '"1"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert user["attributes"] == ATTRIBUTES
    assert isinstance(user["attributes"]["count"], int)
    assert user["id"][14] == "7"
    times = {name: user.pop(name) for name in ("created_at", "updated_at", "last_login_at")}
    assert times["created_at"].endswith("Z")
    assert times["last_login_at"] is None
    assert user == ADA | {
        "id": user["id"],
        "locale": "en",
        "attributes": ATTRIBUTES,
        "status": "active",
        "conflict": False,
        "roles": [],
        "version": 1,
    }


def test_many_at_once_share_calls(api: httpx.Client, memory: Memory) -> None:
    with ThreadPoolExecutor(16) as pool:
        users = list(pool.map(lambda n: create(api, email=f"u{n}@example.com"), range(200)))
    assert len({user["id"] for user in users}) == len(memory.live) == 200
    assert [user["email"] for user in users] == [f"u{n}@example.com" for n in range(200)]
    assert 0 < len(memory.groups) < sum(memory.groups)


def test_get_shows_what_was_created(api: httpx.Client) -> None:
    user = create(api)
    answer = api.get(f"/v1/users/{user['id'].upper()}")
    assert (answer.status_code, answer.json()) == (200, user)
    assert answer.headers["ETag"] == '"1"'


def test_head_is_get_without_its_body(api: httpx.Client) -> None:
    answer = api.head(f"/v1/users/{create(api)['id']}")
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (200, b"", '"1"')


@pytest.mark.parametrize("tag", ['"1"', 'W/"1"', '"7", "1"', "*"])
def test_what_the_client_has_is_not_sent_again(api: httpx.Client, tag: str) -> None:
    user = create(api)
    answer = api.get(f"/v1/users/{user['id']}", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", '"1"')


def test_an_outdated_copy_is_sent_anew(api: httpx.Client) -> None:
    answer = api.get(f"/v1/users/{create(api)['id']}", headers={"If-None-Match": '"11"'})
    assert answer.status_code == 200


@pytest.mark.parametrize("media_type", ["application/merge-patch+json", "application/json"])
def test_patch_merges(api: httpx.Client, media_type: str) -> None:
    user = create(api, locale="en", attributes={"a": 1, "b": {"c": 2, "d": 3}})
    patch = b'{"name": "Ada L.", "locale": null, "attributes": {"a": null, "b": {"c": 4}}}'
    answer = api.patch(
        f"/v1/users/{user['id']}", content=patch, headers={"Content-Type": media_type}
    )
    changed = answer.json()
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')
    assert (changed["name"], changed["locale"]) == ("Ada L.", None)
    assert changed["attributes"] == {"b": {"c": 4, "d": 3}}


def test_null_attributes_clear_them(api: httpx.Client) -> None:
    user = create(api, attributes={"a": 1})
    answer = api.patch(f"/v1/users/{user['id']}", json={"attributes": None})
    assert answer.json()["attributes"] == {}


def test_a_patch_that_changes_nothing_answers_the_current_tag(api: httpx.Client) -> None:
    user = create(api)
    answer = api.patch(f"/v1/users/{user['id']}", json={})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"1"')


def test_suspend_and_activate(api: httpx.Client) -> None:
    path = f"/v1/users/{create(api)['id']}"
    for status in ("suspended", "active"):
        assert api.patch(path, json={"status": status}).json()["status"] == status


def test_if_match_protects(api: httpx.Client) -> None:
    path = f"/v1/users/{create(api)['id']}"
    assert api.patch(path, json={"name": "B"}, headers={"If-Match": '"1"'}).status_code == 200
    refused = api.patch(path, json={"name": "C"}, headers={"If-Match": '"1"'})
    assert (refused.status_code, refused.headers["ETag"]) == (412, '"2"')
    assert refused.json()["current_version"] == 2
    assert api.delete(path, headers={"If-Match": '"9"'}).status_code == 412
    assert api.delete(path, headers={"If-Match": "*"}).status_code == 204


def test_a_deleted_user_is_gone_and_says_since_when(api: httpx.Client) -> None:
    path = f"/v1/users/{create(api)['id']}"
    deleted = api.delete(path)
    assert (deleted.status_code, deleted.content, deleted.headers["ETag"]) == (204, b"", '"2"')
    assert TOKENS.read(deleted.headers["Consistency-Token"]).topic_id == TOPIC_ID
    gone = api.get(path)
    assert (gone.status_code, gone.json()["deleted_at"]) == (404, "2026-01-01T00:00:00Z")


def test_roles_are_created_read_changed_and_deleted(api: httpx.Client) -> None:
    answer = api.post("/v1/roles", json={"name": "editor", "permissions": ["docs:write"]})
    role = answer.json()
    path = answer.headers["Location"]
    assert (answer.status_code, path) == (201, f"/v1/roles/{role['id']}")
    assert (role["name"], role["description"], role["permissions"]) == (
        "editor",
        "",
        ["docs:write"],
    )
    patch = {"description": "Edits.\nAll day.", "permissions": []}
    changed = api.patch(path, json=patch, headers={"If-Match": answer.headers["ETag"]})
    assert changed.json() == role | patch | {"version": 2}
    assert api.get(path).json() == changed.json()
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404


def test_assigning_a_role_raises_the_users_version(api: httpx.Client) -> None:
    user = create(api)
    role = api.post("/v1/roles", json={"name": "editor", "permissions": []}).json()
    path = f"/v1/users/{user['id']}/roles/{role['id']}"
    assigned = api.put(path, headers={"If-Match": '"1"'})
    assert (assigned.status_code, assigned.headers["ETag"]) == (204, '"2"')
    shown = api.get(f"/v1/users/{user['id']}").json()
    assert shown["roles"] == [{"id": role["id"], "name": "editor"}]
    assert api.delete(path).headers["ETag"] == '"3"'


def test_lists_go_on_page_by_page(api: httpx.Client) -> None:
    ids = {create(api, email=f"u{n}@example.com")["id"] for n in range(5)}
    seen: list[str] = []
    parameters = {"page_size": "2", "status": "active"}
    while True:
        page = api.get("/v1/users", params=parameters).json()
        seen += [user["id"] for user in page["users"]]
        if page["next_page_token"] is None:
            break
        parameters["page_token"] = page["next_page_token"]
    assert len(seen) == 5
    assert set(seen) == ids


def test_a_page_may_have_another_size_but_not_another_question(api: httpx.Client) -> None:
    for n in range(3):
        create(api, email=f"u{n}@example.com")
    token = api.get("/v1/users?page_size=1").json()["next_page_token"]
    assert api.get(f"/v1/users?page_size=2&page_token={token}").status_code == 200
    other = api.get(f"/v1/users?q=u&page_token={token}")
    assert (other.status_code, other.json()["errors"][0]["field"]) == (400, "page_token")
    assert api.get(f"/v1/roles?page_token={token}").status_code == 400


def test_an_empty_page_token_is_the_first_page(api: httpx.Client) -> None:
    user = create(api)
    assert api.get("/v1/users?page_token=").json()["users"] == [user]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=AD", ["Ada"]),
        ("email=BOB@example.com", ["Bob"]),
        ("status=suspended", ["Bob"]),
        ("q=example.com&order_by=-name", ["Ada", "Bob"]),
        ("q=null", []),
        ("q=%26%C3%A9", []),
    ],
)
def test_lists_are_filtered(api: httpx.Client, query: str, names: list[str]) -> None:
    create(api)
    bob = create(api, email="bob@example.com", name="Bob")
    api.patch(f"/v1/users/{bob['id']}", json={"status": "suspended"})
    found = api.get(f"/v1/users?{query}").json()["users"]
    assert sorted(user["name"] for user in found) == names


def test_roles_are_listed_by_name(api: httpx.Client) -> None:
    for name in ("editor", "reader"):
        api.post("/v1/roles", json={"name": name, "permissions": []})
    assert [r["name"] for r in api.get("/v1/roles?name=reader").json()["roles"]] == ["reader"]


def test_the_context_tells_who_asks_and_each_command_apart(
    api: httpx.Client, memory: Memory
) -> None:
    first = api.post("/v1/users", json=ADA, headers={"X-Correlation-Id": "order-17"})
    second = api.delete(first.headers["Location"], headers={"X-Request-Id": "order-18"})
    created, deleted = memory.contexts
    assert created.actor == deleted.actor == "users/01900000-0000-7000-8000-000000000001"
    assert created.command_id != deleted.command_id
    assert first.headers["X-Correlation-Id"] == created.correlation_id == "order-17"
    assert second.headers["X-Correlation-Id"] == deleted.correlation_id == "order-18"


@pytest.mark.parametrize("given", ["", "with space", "x" * 129, "\xe9"])
def test_an_unusable_correlation_id_is_replaced(api: httpx.Client, given: str) -> None:
    answer = api.get("/v1/users", headers={b"X-Correlation-Id": given.encode("latin-1")})
    assert len(answer.headers["X-Correlation-Id"]) == 36


def test_a_token_gathers_the_positions_of_all_commands(api: httpx.Client) -> None:
    token = ""
    for n in range(3):
        headers = {"Consistency-Token": token} if token else {}
        answer = api.post("/v1/users", json=ADA | {"email": f"u{n}@x.org"}, headers=headers)
        token = answer.headers["Consistency-Token"]
    expected = {p: o for p, o in TOKENS.read(token).offsets.items() if o >= 0}
    assert 1 <= len(expected) <= 3
    listed = api.get("/v1/users", headers={"Consistency-Token": token})
    assert listed.headers["Consistency-Token"] == token


def test_a_token_ahead_of_the_read_store_is_504_and_says_how_far(api: httpx.Client) -> None:
    ahead = TOKENS.write(Positions(TOPIC_ID, {7: 41}))
    answer = api.get("/v1/users", headers={"Consistency-Token": ahead})
    assert (answer.status_code, answer.json()["records"]) == (504, 42)
    assert answer.json()["type"] == "urn:rollcall:problem:read-store-behind"


def test_a_command_with_a_token_of_another_topic_is_not_done(
    api: httpx.Client, memory: Memory
) -> None:
    other = TOKENS.write(Positions("another-topic", {7: 41}))
    answer = api.post("/v1/users", json=ADA, headers={"Consistency-Token": other})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:rollcall:problem:wrong-topic")
    assert not memory.live
    assert api.get("/v1/users", headers={"Consistency-Token": other}).status_code == 400


def test_what_is_beside_the_api_needs_no_token(api: httpx.Client) -> None:
    del api.headers["Authorization"]
    assert api.get("/healthz").json() == {"status": "ok"}
    assert api.get("/readyz").json() == {"status": "ready"}
    assert "rollcall_gateway_request_duration_seconds_bucket" in api.get("/metrics").text
    page = api.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for name in ("docs.css", "docs.js"):
        assert f"/docs/{name}" in page.text
        assert api.get(f"/docs/{name}").status_code == 200
    assert api.get("/docs/other.js").status_code == 404
