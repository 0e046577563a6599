"""The form of the fields of users and roles: the same whether a command or an import brings them.

Each check takes a message and the name of its field, puts the field in normal form (trimmed, NFC,
an e-mail's domain in lower case), and tells what is wrong with it.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from email_validator import EmailNotValidError, validate_email
from google.protobuf.struct_pb2 import Struct, Value

from rollcall_events.codec import Malformed, check_storable

MAX_RAW = 1_000  # characters of a text before it is even looked at
MAX_NAME = 200
MAX_ATTRIBUTES_BYTES = 32 * 1_024
MAX_DEPTH = 20

_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}")


def email(message: Any, field: str) -> Iterator[str]:
    if len(getattr(message, field)) > MAX_RAW:
        yield "must have at most 254 characters"
        return
    try:
        address = validate_email(
            getattr(message, field).strip(), check_deliverability=False, globally_deliverable=False
        )
    except EmailNotValidError:
        yield "must be an e-mail address, such as ada@example.com"
        return
    if "." not in address.domain:
        yield "must have a domain with a dot, such as example.com"
    setattr(message, field, address.normalized)


def name(message: Any, field: str) -> Iterator[str]:
    if len(getattr(message, field)) > MAX_RAW:
        yield f"must have 1 to {MAX_NAME} characters"
        return
    value = tidied(message, field)
    if not 0 < len(value) <= MAX_NAME:
        yield f"must have 1 to {MAX_NAME} characters"
    if unprintable(value):
        yield "must not contain control characters"


def locale(message: Any, field: str) -> Iterator[str]:
    value = getattr(message, field)
    if value and not (len(value) <= 35 and _LOCALE.fullmatch(value)):
        yield "must be a language tag, such as en or pt-BR"


def attributes(message: Any, field: str) -> Iterator[str]:
    value = getattr(message, field)
    if value.ByteSize() > MAX_ATTRIBUTES_BYTES:
        yield f"must encode to at most {MAX_ATTRIBUTES_BYTES} bytes"
        return
    if _depth(value) > MAX_DEPTH:
        yield f"must be nested at most {MAX_DEPTH} levels deep"
        return
    try:
        check_storable(value)
    except Malformed as error:
        yield str(error)


def tidied(message: Any, field: str) -> str:
    """The field's text, which is in normal form afterwards."""
    value = unicodedata.normalize("NFC", getattr(message, field)).strip()
    setattr(message, field, value)
    return value


def unprintable(text: str) -> bool:
    return any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text)


def _depth(struct: Struct) -> int:
    level, below = 0, [Value(struct_value=struct)]
    while below:
        level += 1
        below = [
            inner
            for value in below
            for inner in (*value.struct_value.fields.values(), *value.list_value.values)
        ]
    return level
