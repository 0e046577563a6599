"""The running platform, over HTTP: one request at a time, each answer as it came."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import httpx
from model.platform_model import Command

TIMEOUT = 15.0  # seconds; the gateway answers before, whatever is away
PROBLEM = "urn:rollcall:problem:"
NOTHING: Mapping[str, str] = MappingProxyType({})

_ROUTES = {
    "create_user": ("POST", "/v1/users"),
    "patch_user": ("PATCH", "/v1/users/{id}"),
    "delete_user": ("DELETE", "/v1/users/{id}"),
    "assign_role": ("PUT", "/v1/users/{id}/roles/{role}"),
    "unassign_role": ("DELETE", "/v1/users/{id}/roles/{role}"),
    "create_role": ("POST", "/v1/roles"),
    "patch_role": ("PATCH", "/v1/roles/{id}"),
    "delete_role": ("DELETE", "/v1/roles/{id}"),
}
# After these nobody knows whether the command was, or will be, carried out.
_UNKNOWN = {(503, f"{PROBLEM}outcome-unknown"), (409, f"{PROBLEM}idempotency-key-in-flight")}


@dataclass(frozen=True)
class Answer:
    """status: 0: the connection broke. body: of JSON, else None."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_unknown(self) -> bool:
        return self.status == 0 or (self.status, self.problem) in _UNKNOWN

    @property
    def problem(self) -> str | None:
        return self.body.get("type") if isinstance(self.body, dict) else None

    @property
    def token(self) -> str | None:
        return self.headers.get("consistency-token")


class Remote:
    """token: the Consistency-Token that is sent, so that what it tells of is seen."""

    def __init__(self, client: httpx.Client):
        self._client = client

    def send(self, command: Command, token: str | None) -> Answer:
        method, template = _ROUTES[command.kind]
        headers = _headers(token)
        if command.if_match is not None:
            headers["If-Match"] = f'"{command.if_match}"'
        if command.key is not None:
            headers["Idempotency-Key"] = f'"{command.key}"' if command.quoted else command.key
        body = dict(command.body) if method in ("POST", "PATCH") else None
        path = template.format(id=command.id, role=command.role)
        try:
            return _answer(self._client.request(method, path, json=body, headers=headers))
        except httpx.TransportError:
            return Answer(0)

    def get(
        self,
        path: str,
        token: str | None,
        parameters: Mapping[str, str | int] = NOTHING,
        headers: Mapping[str, str] = NOTHING,
    ) -> Answer:
        """Asked once more where the connection broke: it may have been closed for idleness."""
        sent = {**_headers(token), **headers}
        try:
            return _answer(self._client.get(path, params=dict(parameters), headers=sent))
        except httpx.TransportError:
            return _answer(self._client.get(path, params=dict(parameters), headers=sent))

    def pages(
        self, noun: str, token: str | None, parameters: Mapping[str, str | int]
    ) -> Iterator[Answer]:
        """The pages of a list, from the first to the last or to one that was refused."""
        page_token: dict[str, str] = {}
        while True:
            page = self.get(f"/v1/{noun}s", token, {**parameters, **page_token})
            yield page
            if page.status != 200 or page.body["next_page_token"] is None:
                return
            page_token = {"page_token": page.body["next_page_token"]}


def client(url: str, bearer: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {bearer}"}
    return httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT)


def _headers(token: str | None) -> dict[str, str]:
    return {"Consistency-Token": token} if token else {}


def _answer(response: httpx.Response) -> Answer:
    is_json = response.headers.get("content-type", "").endswith("json")
    body = response.json() if is_json and response.content else None
    return Answer(response.status_code, body, response.headers)
