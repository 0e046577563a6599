"""Bearer tokens of the platform on one machine, signed with its own secret."""

import time

import jwt

LIFETIME = 30 * 24 * 3600  # seconds


def mint(secret: str, subject: str, lifetime: int = LIFETIME) -> str:
    """A token for `subject`: users/<id>, or services/<name>."""
    now = int(time.time())
    claims = {"iss": "rollcall", "aud": "rollcall", "sub": subject}
    return jwt.encode(claims | {"iat": now, "exp": now + lifetime}, secret, algorithm="HS256")
