"""python -m rollcall_local.first_user HOME GATEWAY_URL E-MAIL

Makes the role `admin` and the first user by ordinary commands, once: it looks before it makes,
so that a start interrupted anywhere is completed by the next. Ends when the read store shows
both, and leaves the user's id in first-user.json. One line on stderr says why it could not.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import httpx

from rollcall_local import credentials, tokens
from rollcall_local.home import Home

FILE = "first-user.json"
_ROLE = {"name": "admin", "description": "May do everything.", "permissions": ["*"]}
_TIMEOUT = 20.0  # seconds for one request
_ATTEMPTS = 60  # a database that was put back, or is new beside an old log, is held for a while
_PAUSE = 1.0  # seconds, as the gateway's Retry-After says
# Away, behind, or done already by an attempt whose answer was lost: look again.
_PASSING = (409, 503, 504)


class Refused(Exception):
    """The gateway did not do as asked. The message names request and answer, no personal data."""

    def __init__(self, method: str, path: str, status: int):
        super().__init__(f"{method} {path} was answered {status}")
        self.passing = status in _PASSING


class Gateway:
    """Requests one after the other; each sees what those before it did."""

    def __init__(self, client: httpx.AsyncClient):
        self._client = client
        self._seen: dict[str, str] = {}

    async def request(self, method: str, path: str, **arguments: Any) -> Any:
        answer = await self._client.request(method, path, headers=self._seen, **arguments)
        if answer.is_error:
            raise Refused(method, path, answer.status_code)
        if token := answer.headers.get("Consistency-Token"):
            self._seen = {"Consistency-Token": token}
        return answer.json() if answer.content else None


async def ensure(gateway: Gateway, email: str) -> str:
    """The id of the first user, who has the role `admin`. Makes what is not there."""
    role = _first(await gateway.request("GET", "/v1/roles", params={"name": "admin"}), "roles")
    role = role or await gateway.request("POST", "/v1/roles", json=_ROLE)
    user = _first(await gateway.request("GET", "/v1/users", params={"email": email}), "users")
    user = user or await gateway.request(
        "POST", "/v1/users", json={"email": email, "name": "Administrator"}
    )
    if role["id"] not in [held["id"] for held in user["roles"]]:
        await gateway.request("PUT", f"/v1/users/{user['id']}/roles/{role['id']}")
    await gateway.request("GET", f"/v1/users/{user['id']}")  # waits for the read store
    return str(user["id"])


async def ensure_patiently(gateway: Gateway, email: str) -> str:
    for _ in range(_ATTEMPTS - 1):
        try:
            return await ensure(gateway, email)
        except Refused as error:
            if not error.passing:
                raise
            await asyncio.sleep(_PAUSE)
    return await ensure(gateway, email)


async def main(home: Home, url: str, email: str) -> int:
    secret = credentials.token_secret(home)
    assert secret, "made before anything is started"
    token = tokens.mint(secret, "services/platform", lifetime=300)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=_TIMEOUT) as client:
        try:
            home.write(FILE, {"id": await ensure_patiently(Gateway(client), email)})
        except (Refused, httpx.HTTPError) as error:
            reason = str(error) if isinstance(error, Refused) else type(error).__name__
            sys.stderr.write(f"{reason}\n")
            return 1
    return 0


def _first(page: dict[str, list[dict[str, Any]]], name: str) -> dict[str, Any] | None:
    return next(iter(page[name]), None)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Home(Path(sys.argv[1])), sys.argv[2], sys.argv[3])))
