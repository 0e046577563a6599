"""Opaque tokens: signed, so that what the gateway did not give out is refused.

A token is base64url(payload ‖ first 16 bytes of HMAC-SHA256). Each purpose has a key of its own,
derived from the one secret, so that a page token is never taken for a consistency token.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

MAX_POSITIONS = 50  # the topic's partitions, never changed
MAX_TOKEN_CHARACTERS = 4096
_MAC_BYTES = 16


class InvalidTokenError(ValueError):
    """Not a token of this purpose, or altered."""


class Seal:
    """Signs and opens the tokens of one purpose."""

    def __init__(self, secret: bytes, purpose: str):
        self._key = hmac.digest(secret, f"rollcall {purpose}".encode(), hashlib.sha256)

    def close(self, payload: bytes, context: bytes = b"") -> str:
        """context is not in the token, but must be the same when it is opened."""
        return _text(payload + self._mac(payload, context))

    def open(self, token: str, context: bytes = b"") -> bytes:
        sealed = _bytes(token)
        payload, mac = sealed[:-_MAC_BYTES], sealed[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(payload, context)):
            raise InvalidTokenError
        return payload

    def _mac(self, payload: bytes, context: bytes) -> bytes:
        # The length keeps context and payload apart.
        message = len(context).to_bytes(8, "big") + context + payload
        return hmac.digest(self._key, message, hashlib.sha256)[:_MAC_BYTES]


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(token: str) -> bytes:
    if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
        raise InvalidTokenError
    try:
        data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except binascii.Error:
        raise InvalidTokenError from None
    # base64 has several spellings of the same bytes; only ours is a token.
    if _text(data) != token:
        raise InvalidTokenError
    return data


@dataclass(frozen=True)
class Positions:
    """How far the log was, by partition: what a query must be able to see."""

    topic_id: str
    offsets: Mapping[int, int]

    def merge(self, other: "Positions") -> "Positions":
        """The later position of each partition. Both are of one topic."""
        if self.topic_id != other.topic_id:
            raise ValueError("positions of different topics can't be merged")
        partitions = self.offsets.keys() | other.offsets.keys()
        return Positions(
            self.topic_id,
            {p: max(self.offsets.get(p, -1), other.offsets.get(p, -1)) for p in partitions},
        )


class ConsistencyTokens:
    """Positions as the header Consistency-Token carries them."""

    def __init__(self, secret: bytes):
        self._seal = Seal(secret, "consistency token")

    def write(self, positions: Positions) -> str:
        payload = (positions.topic_id, sorted(positions.offsets.items()))
        return self._seal.close(msgspec.msgpack.encode(payload))

    def read(self, token: str) -> Positions:
        payload = self._seal.open(token)
        try:
            topic_id, offsets = _DECODER.decode(payload)
        except msgspec.DecodeError:
            raise InvalidTokenError from None
        if len(offsets) > MAX_POSITIONS:
            raise InvalidTokenError
        return Positions(topic_id, dict(offsets))


_DECODER = msgspec.msgpack.Decoder(tuple[str, list[tuple[int, int]]])


def question_of(route: str, query: msgspec.Struct) -> bytes:
    """All that decides what a list holds and how it is ordered; pages may differ in size."""
    asked = msgspec.structs.asdict(query)
    parts = {k: v for k, v in asked.items() if k not in ("page_size", "page_token")}
    return msgspec.json.encode((route, [p for p in parts.items() if p[1] is not msgspec.UNSET]))


class PageTokens:
    """A list's cursor, good only for the question that it continues."""

    def __init__(self, secret: bytes):
        self._seal = Seal(secret, "page token")

    def write(self, cursor: bytes, question: bytes) -> str | None:
        return self._seal.close(cursor, question) if cursor else None

    def read(self, token: str, question: bytes) -> bytes:
        return self._seal.open(token, question)
