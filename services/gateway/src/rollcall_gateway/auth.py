"""Who asks: a bearer token, a JWT signed with the platform's secret."""

import re
import time
from collections.abc import Callable
from functools import lru_cache

import jwt

from rollcall_gateway import problems

ISSUER = AUDIENCE = "rollcall"
_REALM = 'Bearer realm="rollcall"'
_ACTOR = re.compile(
    r"(users|tokens)/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|services/[a-z0-9-]{1,64}"
)
_LEEWAY_SECONDS = 5  # between the clocks of two machines
_MAX_TOKEN_CHARACTERS = 4096
_REMEMBERED_TOKENS = 1024  # of those that were found valid: a signature is checked once


class Authenticator:
    """Tells the actor of a request from its Authorization header, or refuses it."""

    def __init__(self, secret: bytes, clock: Callable[[], float] = time.time):
        self._secret = secret
        self._clock = clock
        self._verified = lru_cache(_REMEMBERED_TOKENS)(self._verify)

    def actor(self, authorization: list[str]) -> str:
        """The actor, such as users/<id>. Raises a Problem (401) without saying which check failed
        beyond what helps an honest caller: missing, expired, or not valid."""
        if not authorization:
            raise problems.unauthorized("A bearer token is needed.", _REALM)
        scheme, _, token = authorization[0].partition(" ")
        if len(authorization) > 1 or scheme.lower() != "bearer":
            raise _refused("The Authorization header must be `Bearer` and a token.")
        actor, expires = self._verified(token.strip())
        if expires <= self._clock() - _LEEWAY_SECONDS:
            raise _expired()
        return actor

    def _verify(self, token: str) -> tuple[str, int]:
        """The actor, and when the token expires."""
        if len(token) > _MAX_TOKEN_CHARACTERS:
            raise _refused("The token is not valid.")
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "sub", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise _expired() from None
        except jwt.InvalidTokenError:
            raise _refused("The token is not valid.") from None
        if not _ACTOR.fullmatch(claims["sub"]):
            raise _refused("The token is not valid.")
        return str(claims["sub"]), int(claims["exp"])


def _expired() -> problems.Problem:
    return _refused("The token has expired.")


def _refused(detail: str) -> problems.Problem:
    return problems.unauthorized(detail, f'{_REALM}, error="invalid_token"')
