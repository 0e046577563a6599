"""Idempotency-Key: a client's name for a request, so that it can repeat it safely."""

import re
from hashlib import blake2b

from rollcall_gateway import problems
from rollcall_gateway.problems import FieldError

IDEMPOTENCY_KEY = "Idempotency-Key"
MAX_KEY = 255  # characters

_BARE = re.compile(r"[\x21\x23-\x7e][\x21-\x7e]*")
_QUOTED = re.compile(r'"((?:[\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"')  # a string of RFC 8941
_ESCAPED = re.compile(r'\\(["\\])')
_HASH_BYTES = 20


def read_key(given: list[str]) -> str | None:
    """The key, without quotes; None without the header. Raises a Problem (400)."""
    if not given:
        return None
    if len(given) > 1:
        raise _refused("is given more than once")
    key = _unquoted(given[0])
    if not 0 < len(key) <= MAX_KEY:
        message = f"must be 1 to {MAX_KEY} visible ASCII characters, in double quotes or bare"
        raise _refused(message)
    return key


def command_id(actor: str, method: str, route: str, key: str) -> str:
    """The same for the same key of one principal and route (its template), and only then."""
    # None of the parts can hold the separator.
    scoped = "\0".join((actor, method, route, key))
    return "key-" + blake2b(scoped.encode(), digest_size=_HASH_BYTES).hexdigest()


def _unquoted(text: str) -> str:
    """Empty for what is neither a string of RFC 8941 nor bare."""
    if _BARE.fullmatch(text):
        return text
    quoted = _QUOTED.fullmatch(text)
    return _ESCAPED.sub(r"\1", quoted[1]) if quoted else ""


def _refused(message: str) -> problems.Problem:
    error = FieldError(IDEMPOTENCY_KEY, message)
    return problems.malformed(f"{IDEMPOTENCY_KEY} {message}.", error)
