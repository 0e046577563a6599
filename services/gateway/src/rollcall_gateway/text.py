"""What no string and no attribute may hold, whatever field it is in.

Whether a value makes a good e-mail or name is user-management's to say; these are the limits of
what can be carried and stored at all, and checked before anything is sent.
"""

import re
from collections.abc import Iterator
from typing import Any

from rollcall_gateway.problems import FieldError

MAX_DEPTH = 20  # of attributes; protobuf itself ends at 100 messages, three to a level
MAX_VALUES = 50_000
MAX_EXACT_INTEGER = 2**53 - 1  # numbers are doubles, in protobuf as in JavaScript

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SUSPECT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # any of these
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_MAX_PATH = 200  # characters of a path that an error repeats

_Path = tuple[str | int, ...]  # the field, then keys and indexes

MULTILINE = frozenset({"description"})


def check_text(field: str, value: str, *, multiline: bool) -> Iterator[FieldError]:
    """No control characters (line breaks and tabs only in multi-line text), no lone surrogates."""
    if (_CONTROL_BUT_LINES if multiline else _CONTROL).search(value):
        yield FieldError(field, "must not contain control characters")
    if _SURROGATE.search(value):
        yield FieldError(field, "must not contain lone surrogates")


def check_value(field: str, value: Any) -> Iterator[FieldError]:
    """A field's value of any type."""
    if isinstance(value, str):
        yield from check_text(field, value, multiline=field in MULTILINE)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from check_text(f"{field}[{index}]", item, multiline=False)
    elif isinstance(value, dict):
        yield from check_attributes(field, value)


def check_attributes(field: str, attributes: dict[str, Any]) -> Iterator[FieldError]:
    """A JSON object that protobuf's Struct can hold without loss."""
    pending: list[tuple[_Path, Any, int]] = [((field,), attributes, 1)]
    seen = 0
    while pending:
        path, value, depth = pending.pop()
        seen += 1
        if seen > MAX_VALUES:
            yield FieldError(field, f"must not have more than {MAX_VALUES} values")
            return
        if depth > MAX_DEPTH + 1:
            yield FieldError(field, f"must not be nested more than {MAX_DEPTH} deep")
            return
        yield from _check_node(path, value)
        pending.extend(_children(path, value, depth))


def _check_node(path: _Path, value: Any) -> Iterator[FieldError]:
    if isinstance(value, str):
        if _SUSPECT.search(value):
            yield from check_text(shown(path), value, multiline=True)
    elif isinstance(value, dict):
        for key in value:
            if _SUSPECT.search(key):
                yield from check_text(shown(path), key, multiline=False)
    elif isinstance(value, int) and abs(value) > MAX_EXACT_INTEGER:
        message = "is too large a number to be kept exactly; send it as a string"
        yield FieldError(shown(path), message)


def _children(path: _Path, value: Any, depth: int) -> Iterator[tuple[_Path, Any, int]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield (*path, key), child, depth + 1
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield (*path, index), child, depth + 1


def shown(path: _Path) -> str:
    """As an error repeats it."""
    root, *steps = path
    text = str(root) + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps)
    return _SURROGATE.sub("?", _CONTROL.sub("?", text))[:_MAX_PATH]
