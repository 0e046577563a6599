"""The OpenAPI document is valid, says what the route table says, and what the API does."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from rollcall_gateway.app import ROUTES
from rollcall_gateway.openapi import document
from rollcall_gateway.operations import Operation

API = document(ROUTES)


def nodes(value: Any) -> Iterator[Any]:
    yield value
    children = value.values() if isinstance(value, dict) else value
    if isinstance(children, list | type({}.values())):
        for child in children:
            yield from nodes(child)


def resolved(node: dict[str, Any]) -> Any:
    if "$ref" not in node:
        return node
    found: Any = API
    for key in node["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    return found


def described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = API["paths"][operation.path][operation.method.lower()]
    return found


def test_it_is_served_as_it_is_made(api: httpx.Client) -> None:
    served = api.get("/openapi.json").json()
    assert served == API
    assert served["openapi"].startswith("3.1")


def test_it_has_every_route_and_no_other() -> None:
    found = {(m.upper(), path) for path, item in API["paths"].items() for m in item}
    assert found == {(o.method, o.path) for o in ROUTES}


def test_every_reference_leads_somewhere() -> None:
    references = [n["$ref"] for n in nodes(API) if isinstance(n, dict) and "$ref" in n]
    assert references
    assert all(resolved({"$ref": reference}) for reference in references)


def test_operation_ids_are_unique_and_fit_for_generated_code() -> None:
    ids = [described(o)["operationId"] for o in ROUTES]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]*)*", i) for i in ids)


@pytest.mark.parametrize("operation", ROUTES, ids=lambda o: f"{o.method} {o.path}")
def test_each_operation_is_complete(operation: Operation) -> None:
    shown = described(operation)
    parameters = [(p["name"], p["in"]) for p in shown["parameters"]]
    assert len(set(parameters)) == len(parameters)
    in_path = {name for name, where in parameters if where == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", operation.path))
    assert (("If-Match", "header") in parameters) is operation.conditional
    assert (("Idempotency-Key", "header") in parameters) is operation.keyed
    assert ({"409", "422"} <= shown["responses"].keys()) is operation.keyed
    assert shown["security"] == ([{"bearer": []}] if operation.path.startswith("/v1") else [])
    assert str(operation.status) in shown["responses"]
    assert all(r.get("description") for r in map(resolved, shown["responses"].values()))
    assert ("requestBody" in shown) is (operation.body is not None)


def test_what_creates_takes_a_key() -> None:
    keyed = [(o.method, o.path) for o in ROUTES if o.keyed]
    assert keyed == [("POST", "/v1/users"), ("POST", "/v1/roles")]


def matches(value: Any, schema: dict[str, Any]) -> bool:
    """As much of JSON Schema as the representations use."""
    schema = resolved(schema)
    if "anyOf" in schema:
        return any(matches(value, option) for option in schema["anyOf"])
    if not schema:  # any value
        return True
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    if schema.get("type") == "null":
        return value is None
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return False
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        known = all(matches(v, properties[k]) for k, v in value.items() if k in properties)
        return known and set(schema.get("required", [])) <= value.keys()
    if isinstance(value, list):
        return all(matches(item, schema["items"]) for item in value)
    return value in schema.get("enum", [value])


def test_the_answers_are_as_the_schemas_say(api: httpx.Client) -> None:
    schemas = API["components"]["schemas"]
    created = api.post("/v1/users", json={"email": "a@example.com", "name": "A"}).json()
    assert matches(created, schemas["User"])
    assert matches(api.get("/v1/users").json(), schemas["Users"])
    role = api.post("/v1/roles", json={"name": "r", "permissions": ["p"]}).json()
    assert matches(role, schemas["Role"])
    assert matches(api.get("/v1/roles").json(), schemas["Roles"])
    events = api.get("/v1/events").json()
    assert matches(events, schemas["Events"])
    assert set(events["events"][0]) == set(schemas["Event"]["required"])
    assert matches(api.post("/v1/users", json={"email": 1}).json(), schemas["Problem"])
    assert set(created) == set(schemas["User"]["required"])
    assert set(role) == set(schemas["Role"]["required"])


def test_an_export_is_shown_in_each_of_its_forms(api: httpx.Client) -> None:
    content = API["paths"]["/v1/events"]["get"]["responses"]["200"]["content"]
    assert set(content) == {"application/json", "text/csv", "application/x-ndjson"}
    api.post("/v1/users", json={"email": "a@example.com", "name": "A"})
    head, _ = api.get("/v1/events", headers={"Accept": "text/csv"}).text.split("\r\n", 1)
    assert content["text/csv"]["example"].startswith(f"{head}\r\n")
    shown = json.loads(content["application/x-ndjson"]["example"])
    assert matches(shown, API["components"]["schemas"]["Event"])
    at = next(p for p in described(GET_USER)["parameters"] if p["name"] == "at")
    assert at["schema"]["format"] == "date-time"


GET_USER = next(o for o in ROUTES if (o.method, o.path) == ("GET", "/v1/users/{id}"))
