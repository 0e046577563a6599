"""The form of commands: lengths, characters, addresses. Rules of state are the domain's."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor

from rollcall.users.v1 import commands_pb2 as pb
from rollcall.users.v1.events_pb2 import Permissions, UserStatus
from rollcall_events import fields
from rollcall_events.ids import is_uuid

MAX_DESCRIPTION = 500
MAX_PERMISSIONS = 200
MAX_COMMAND_ID = 200
MAX_TRACE = 512

_PERMISSION = re.compile(r"[a-z0-9*][a-z0-9_.:*/-]{0,99}")
_ACTOR = re.compile(r"(users|tokens|services)/[A-Za-z0-9._-]{1,100}")

Problem = tuple[str, str]  # field, what is wrong with it


class InvalidFields(Exception):
    """The command is malformed. problems: every field at fault, with what would be right."""

    def __init__(self, problems: list[Problem]):
        super().__init__(", ".join(field for field, _ in problems))
        self.problems = problems


def validated(command: Any) -> Any:
    """The command with its texts in normal form (trimmed, NFC, the e-mail's domain lower-case).

    Raises InvalidFields. The command itself stays as it is.
    """
    tidy = type(command)()
    tidy.CopyFrom(command)
    problems = [*_context(tidy.context), *_ids(tidy)]
    for name, optional in _fields(command.DESCRIPTOR):
        if not optional or tidy.HasField(name):
            problems += ((name, problem) for problem in _CHECKS[name](tidy, name))
    if problems:
        raise InvalidFields(problems)
    return tidy


@cache
def _fields(descriptor: Descriptor) -> tuple[tuple[str, bool], ...]:
    """A command's fields that are checked, and whether a caller may leave them out."""
    known = descriptor.fields_by_name
    return tuple((name, known[name].has_presence) for name in _CHECKS if name in known)


@cache
def _id_fields(descriptor: Descriptor) -> tuple[str, ...]:
    return tuple(n for n in ("user_id", "role_id") if n in descriptor.fields_by_name)


def _context(context: pb.CommandContext) -> Iterator[Problem]:
    if not 0 < len(context.command_id) <= MAX_COMMAND_ID or not context.command_id.isprintable():
        yield "context.command_id", f"must have 1 to {MAX_COMMAND_ID} printable characters"
    if not _ACTOR.fullmatch(context.actor):
        yield "context.actor", "must be users/<id>, tokens/<id> or services/<name>"
    if len(context.correlation_id) > MAX_COMMAND_ID or not context.correlation_id.isprintable():
        yield "context.correlation_id", f"must have at most {MAX_COMMAND_ID} printable characters"
    for name in ("traceparent", "tracestate"):
        value = getattr(context, name)
        if len(value) > MAX_TRACE or not value.isprintable():
            yield f"context.{name}", f"must have at most {MAX_TRACE} printable characters"


def _ids(command: Any) -> Iterator[Problem]:
    for name in _id_fields(command.DESCRIPTOR):
        if not is_uuid(getattr(command, name)):
            yield name, "must be a UUID in lower case"


def _description(command: Any, name: str) -> Iterator[str]:
    if len(getattr(command, name)) > fields.MAX_RAW:
        yield f"must have at most {MAX_DESCRIPTION} characters"
        return
    tidy = fields.tidied(command, name)
    if len(tidy) > MAX_DESCRIPTION:
        yield f"must have at most {MAX_DESCRIPTION} characters"
    if fields.unprintable(tidy.replace("\n", "")):
        yield "must not contain control characters other than line breaks"


def _status(command: Any, name: str) -> Iterator[str]:
    if getattr(command, name) not in UserStatus.values():
        yield "must be active or suspended"


def _permissions(command: Any, name: str) -> Iterator[str]:
    value = getattr(command, name)
    permissions = value.values if isinstance(value, Permissions) else value
    if len(permissions) > MAX_PERMISSIONS:
        yield f"must be at most {MAX_PERMISSIONS}"
        return
    if not all(_PERMISSION.fullmatch(p) for p in permissions):
        yield "must consist of lower-case letters, digits and _ . : * / -, such as users:read"
    if len(set(permissions)) != len(permissions):
        yield "must not repeat themselves"


_CHECKS: Mapping[str, Callable[[Any, str], Iterator[str]]] = {
    "email": fields.email,
    "name": fields.name,
    "locale": fields.locale,
    "status": _status,
    "description": _description,
    "permissions": _permissions,
    "attributes": fields.attributes,
    "attributes_patch": fields.attributes,
}
