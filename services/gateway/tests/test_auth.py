"""No one gets in without a token."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest

from rollcall_gateway.auth import Authenticator
from rollcall_gateway.problems import Problem

SECRET = "a secret of the tests, and long enough"
Headers = Callable[..., dict[str, str]]
NOW = int(time.time())

# Changes to the claims of a good token.
REFUSED: dict[str, dict[str, Any]] = {
    "expired": {"exp": NOW - 60},
    "never expires": {"exp": None},
    "not yet issued": {"iat": NOW + 3600},
    "another issuer": {"iss": "elsewhere"},
    "another audience": {"aud": "elsewhere"},
    "no subject": {"sub": None},
    "a subject of no kind": {"sub": "admin"},
    "a subject with more behind it": {"sub": "services/platform\n"},
    "another secret": {"secret": "another secret that is long enough"},
}


@pytest.mark.parametrize("changed", REFUSED.values(), ids=REFUSED.keys())
def test_tokens_that_are_refused(
    api: httpx.Client, headers: Headers, changed: dict[str, Any]
) -> None:
    answer = api.get("/v1/users", headers=headers(**changed))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="rollcall", error="invalid_token"'
    assert answer.json()["type"] == "urn:rollcall:problem:unauthorized"


UNSIGNED = jwt.encode({"sub": "services/platform", "exp": NOW + 600}, None, "none")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer x",
        "Basic dTpw",
        "Bearer a.b.c",
        f"Bearer {UNSIGNED}",
        "Bearer " + "x" * 9000,
    ],
)
def test_what_is_no_token(api: httpx.Client, authorization: str) -> None:
    answer = api.get("/v1/users", headers={"Authorization": authorization})
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer.headers


def test_without_a_token_nothing_is_told(api: httpx.Client) -> None:
    del api.headers["Authorization"]
    for method, path in [("GET", "/v1/users"), ("GET", "/v1/nothing"), ("PUT", "/v1/users")]:
        answer = api.request(method, path)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="rollcall"'


def test_an_expired_token_says_so(api: httpx.Client, headers: Headers) -> None:
    answer = api.get("/v1/users", headers=headers(exp=NOW - 60))
    assert answer.json()["detail"] == "The token has expired."


def test_a_token_that_was_good_expires(headers: Headers) -> None:
    now = int(time.time())
    times = iter([now, now + 64, now + 65])
    authenticator = Authenticator(SECRET.encode(), lambda: next(times))
    given = [headers(exp=now + 60)["Authorization"]]
    for _ in range(2):  # clocks may differ by some seconds
        assert authenticator.actor(given).startswith("users/")
    with pytest.raises(Problem) as caught:
        authenticator.actor(given)
    assert (caught.value.status, caught.value.detail) == (401, "The token has expired.")


@pytest.mark.parametrize(
    "actor", ["services/platform", "tokens/01900000-0000-7000-8000-000000000001"]
)
def test_services_and_tokens_may_ask(api: httpx.Client, headers: Headers, actor: str) -> None:
    assert api.get("/v1/users", headers=headers(sub=actor)).status_code == 200


def test_the_scheme_has_no_case(api: httpx.Client, headers: Headers) -> None:
    given = headers()["Authorization"].replace("Bearer", "bEARER")
    assert api.get("/v1/users", headers={"Authorization": given}).status_code == 200
