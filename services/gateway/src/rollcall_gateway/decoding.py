"""Bytes and query strings → the structs of bodies.py, or errors that name every wrong field."""

import functools
import json
import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from rollcall_gateway import problems
from rollcall_gateway.problems import FieldError
from rollcall_gateway.text import check_value, shown

T = TypeVar("T", bound=msgspec.Struct)

WHOLE_BODY = "body"  # the name of the field where the document itself is at fault
_JSON_NAMES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


def decode_body(body: bytes, struct: type[T]) -> T:
    """Raises a Problem: 400 where it is not JSON, 422 where it is not a valid `struct`."""
    try:
        decoder: msgspec.json.Decoder[T] = _decoder(struct)
        return _checked(decoder.decode(body))
    except RecursionError:
        raise problems.invalid_fields([FieldError(_nested(struct), "is nested too deep")]) from None
    except msgspec.ValidationError as error:
        found = list(_explain_body(body, struct)) or [_first_fault(error)]
        raise problems.invalid_fields(found) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise problems.invalid_fields(_surrogates(body, struct)) from None


def decode_query(parameters: Mapping[str, str], struct: type[T]) -> T:
    """Raises a Problem: 400 for a parameter that the route does not have, 422 for a wrong value."""
    unknown = [n for n in parameters if n not in struct.__struct_fields__]
    if unknown:
        raise unknown_parameters(unknown)
    try:
        return _checked(msgspec.convert(parameters, struct, strict=False))
    except msgspec.ValidationError:
        raise problems.invalid_fields(_explain(parameters, struct, strict=False)) from None


def unknown_parameters(names: list[str]) -> problems.Problem:
    errors = [FieldError(shown((name,)), "is not a parameter of this request") for name in names]
    return problems.malformed("There is a query parameter that is not known here.", *errors)


@functools.cache
def _decoder(struct: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(struct)


def _checked(value: T) -> T:
    fields = type(value).__struct_fields__
    errors = [e for name in fields for e in check_value(name, getattr(value, name))]
    if errors:
        raise problems.invalid_fields(errors)
    return value


def _explain_body(body: bytes, struct: type[msgspec.Struct]) -> Iterator[FieldError]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if isinstance(document, dict):
        yield from _explain(document, struct, strict=True)
    else:
        yield FieldError(WHOLE_BODY, "must be a JSON object")


def _first_fault(error: msgspec.ValidationError) -> FieldError:
    """For a document that can't be read past its fault: too deep, or broken off behind it."""
    _, _, path = str(error).partition(" - at `$.")
    return FieldError(path.rstrip("`") or WHOLE_BODY, _readable(error))


def _explain(
    document: Mapping[str, Any], struct: type[msgspec.Struct], *, strict: bool
) -> Iterator[FieldError]:
    """The first fault of each field: msgspec stops at the first of all."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name in document.keys() - fields.keys():
        yield FieldError(shown((name,)), "is not a field that can be given here")
    for name, field in fields.items():
        if name in document:
            yield from _explain_field(name, document[name], field.type, strict=strict)
        elif field.required:
            yield FieldError(name, "is required")


def _explain_field(name: str, value: Any, kind: Any, *, strict: bool) -> Iterator[FieldError]:
    try:
        yield from check_value(name, msgspec.convert(value, kind, strict=strict))
    except msgspec.ValidationError as error:
        _, _, path = str(error).partition(" - at `$")
        yield FieldError(name + path.rstrip("`"), _choices(kind) or _readable(error))


def _choices(kind: Any) -> str:
    literals = [kind, *typing.get_args(kind)]
    values = [v for k in literals if typing.get_origin(k) is typing.Literal for v in k.__args__]
    return f"must be one of {', '.join(values)}" if values else ""


def _readable(error: msgspec.ValidationError) -> str:
    """Expected `str`, got `int` - at `$.name` → must be a string, not an integer."""
    message = str(error).partition(" - at ")[0].replace("Expected", "must be", 1)
    message = message.replace(", got", ", not", 1)
    return re.sub(r"`([^`]*)`", lambda m: _json_names(m.group(1)), message)


def _json_names(names: str) -> str:
    return " or ".join(_JSON_NAMES.get(name, name) for name in names.split(" | "))


def _nested(struct: type[msgspec.Struct]) -> str:
    return "attributes" if "attributes" in struct.__struct_fields__ else WHOLE_BODY


def _surrogates(body: bytes, struct: type[msgspec.Struct]) -> Iterator[FieldError]:
    """JSON's grammar lets `\\ud800` stand alone, which is no text; all else here is not JSON."""
    not_json = problems.malformed("The body is not JSON.")
    if rb"\ud" not in body.lower():
        raise not_json
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise not_json from None
    fields = document if isinstance(document, dict) else {}
    errors = list(_explain(fields, struct, strict=True))
    yield from errors or [FieldError(WHOLE_BODY, "must be a JSON object of valid text")]
