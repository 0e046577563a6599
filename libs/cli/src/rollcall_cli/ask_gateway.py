"""The API of the running platform, asked as any client would."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from rollcall_cli.token import first_users_token
from rollcall_local import client
from rollcall_local.client import NotRunning
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home

_WITHIN = 15.0  # seconds for a request; the gateway answers before, whatever is away
_MOST = 200  # of one page
_AWAY = (502, 503, 504)

Document = dict[str, Any]


def user(home: Home, id_: str, **as_of: str | int | None) -> Document:
    """Raises NotRunning, or a PlatformError with what the API said."""
    with _gateway(home) as gateway:
        return _get(gateway, f"/v1/users/{id_}", as_of)


def users(home: Home, most: int, **filters: str | None) -> Iterator[Document]:
    """The first ones, in order of their creation. Raises as `user`."""
    return _listed(home, "/v1/users", "users", most, filters)


def timeline(home: Home, id_: str) -> Iterator[Document]:
    """Every event of a user, the oldest first. Raises as `user`."""
    return _listed(home, f"/v1/users/{id_}/events", "events", None, {})


def _listed(
    home: Home, path: str, name: str, most: int | None, filters: dict[str, Any]
) -> Iterator[Document]:
    left = most
    asked = dict(filters)
    with _gateway(home) as gateway:
        while left is None or left > 0:
            asked["page_size"] = _MOST if left is None else min(left, _MOST)
            page = _get(gateway, path, asked)
            yield from page[name]
            left = None if left is None else left - len(page[name])
            asked["page_token"] = page["next_page_token"]
            if asked["page_token"] is None:
                return


@contextmanager
def _gateway(home: Home) -> Iterator[httpx.Client]:
    """ROLLCALL_URL and ROLLCALL_TOKEN, or the platform on this machine and its first user."""
    url, token = os.environ.get("ROLLCALL_URL"), os.environ.get("ROLLCALL_TOKEN")
    if url and not token:
        raise PlatformError("ROLLCALL_URL needs ROLLCALL_TOKEN, a bearer token of that platform")
    address = url or client.status(home)["gateway"]
    headers = {"Authorization": f"Bearer {token or first_users_token(home)}"}
    with httpx.Client(base_url=address, headers=headers, timeout=_WITHIN) as opened:
        yield opened


def _get(gateway: httpx.Client, path: str, parameters: dict[str, Any]) -> Document:
    given = {name: value for name, value in parameters.items() if value is not None}
    try:
        answer = gateway.get(path, params=given)
        found: Document = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        raise NotRunning(f"no gateway answers at {gateway.base_url}") from None
    if answer.status_code in _AWAY:
        raise NotRunning(_said(found))
    if answer.is_error:
        raise PlatformError(_said(found))
    return found


def _said(problem: Document) -> str:
    wrong = [f"{error['field']} {error['message']}" for error in problem.get("errors", [])]
    deleted = [f"It was deleted at {problem['deleted_at']}."] if "deleted_at" in problem else []
    return "; ".join(wrong) or " ".join([problem.get("detail", "the gateway refused"), *deleted])
