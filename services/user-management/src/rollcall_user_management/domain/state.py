"""The two aggregates as they are after some of their events."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar, dataclass_transform

from rollcall.users.v1 import events_pb2 as pb

ADMIN = "admin"  # the role that can be neither renamed nor deleted

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def _unchanging(cls: type[T]) -> type[T]:
    """Nothing of it is changed, which type checkers know. At run time nothing hinders it, because
    the projection makes one for each event, and a frozen dataclass takes three times as long."""
    return dataclass(cls)


class Stamp(NamedTuple):
    """When and where an event was recorded; the order in which holders of a value are ranked."""

    recorded_at: datetime
    partition: int
    offset: int


@_unchanging
class User:
    """version 0: it never existed. roles: id → name as assigned."""

    id: str
    version: int = 0
    email: str = ""
    name: str = ""
    locale: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    status: "pb.UserStatus.ValueType" = pb.USER_STATUS_ACTIVE
    roles: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    deleted_at: datetime | None = None
    last_login_at: datetime | None = None
    email_since: Stamp | None = None  # of the event that set the e-mail
    last: Stamp | None = None  # of the newest event

    @property
    def live(self) -> bool:
        return self.version > 0 and self.deleted_at is None


@_unchanging
class Role:
    """version 0: it never existed."""

    id: str
    version: int = 0
    name: str = ""
    description: str = ""
    permissions: tuple[str, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    deleted_at: datetime | None = None
    name_since: Stamp | None = None
    last: Stamp | None = None

    @property
    def live(self) -> bool:
        return self.version > 0 and self.deleted_at is None


@lru_cache(4_096)  # it is asked for several times for each event
def unique_key(text: str) -> str:
    """What makes two e-mails or two role names the same: letter case and composition do not."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFC", text).casefold()
    return unicodedata.normalize("NFC", folded)
