"""python -m rollcall_local.first_user HOME GATEWAY_URL E-MAIL

Makes the role `admin` and the first user by ordinary commands, once: it looks before it makes,
so that a start interrupted anywhere is completed by the next. Ends when the read store shows
both, and leaves the user's id in first-user.json. One line on stderr says why it could not.
"""

import sys
from pathlib import Path
from typing import Any

import httpx

from rollcall_local import credentials, tokens
from rollcall_local.home import Home

FILE = "first-user.json"
_ROLE = {"name": "admin", "description": "May do everything.", "permissions": ["*"]}
_TIMEOUT = 20.0
_RETRIES = 5  # of an answer that says to come back


class Refused(Exception):
    """The gateway did not do as asked. The message names request and answer, no personal data."""


class Gateway:
    """Requests one after the other; each sees what those before it did."""

    def __init__(self, client: httpx.Client):
        self._client = client
        self._seen: dict[str, str] = {}

    def request(self, method: str, path: str, **arguments: Any) -> Any:
        for _ in range(_RETRIES):
            answer = self._client.request(method, path, headers=self._seen, **arguments)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
        if answer.is_error:
            raise Refused(f"{method} {path.split('?')[0]} was answered {answer.status_code}")
        if token := answer.headers.get("Consistency-Token"):
            self._seen = {"Consistency-Token": token}
        return answer.json() if answer.content else None


def ensure(gateway: Gateway, email: str) -> str:
    """The id of the first user, who has the role `admin`. Makes what is not there."""
    role = _first(gateway.request("GET", "/v1/roles", params={"name": "admin"})["roles"])
    role = role or gateway.request("POST", "/v1/roles", json=_ROLE)
    user = _first(gateway.request("GET", "/v1/users", params={"email": email})["users"])
    user = user or gateway.request(
        "POST", "/v1/users", json={"email": email, "name": "Administrator"}
    )
    if role["id"] not in [held["id"] for held in user["roles"]]:
        gateway.request("PUT", f"/v1/users/{user['id']}/roles/{role['id']}")
    gateway.request("GET", f"/v1/users/{user['id']}")  # waits for the read store
    return str(user["id"])


def main(home: Home, url: str, email: str) -> int:
    secret = credentials.token_secret(home)
    assert secret, "made before anything is started"
    token = tokens.mint(secret, "services/platform", lifetime=300)
    transport = httpx.HTTPTransport(retries=3)
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(
        base_url=url, headers=headers, timeout=_TIMEOUT, transport=transport
    ) as client:
        try:
            home.write(FILE, {"id": ensure(Gateway(client), email)})
        except (Refused, httpx.HTTPError) as error:
            reason = str(error) if isinstance(error, Refused) else type(error).__name__
            sys.stderr.write(f"the first user could not be made: {reason}\n")
            return 1
    return 0


def _first(items: list[dict[str, Any]]) -> dict[str, Any] | None:
    return items[0] if items else None


if __name__ == "__main__":
    sys.exit(main(Home(Path(sys.argv[1])), sys.argv[2], sys.argv[3]))
