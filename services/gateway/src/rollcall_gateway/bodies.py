"""What clients may send: the bodies and the query parameters, as types.

The same structs decode a request and describe it in the OpenAPI document. Whether a value is
acceptable (a well-formed e-mail, a length) is decided by user-management.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

MAX_PAGE_SIZE = 200
DEFAULT_PAGE_SIZE = 50
MAX_FILTER = 400  # characters; longer than any e-mail, name or id

Status = Literal["active", "suspended"]
Attributes = Annotated[dict[str, Any], Meta(description="Any JSON object, at most 20 deep.")]
Locale = Annotated[str, Meta(description="A BCP 47 language tag.", examples=["en", "de-CH"])]
Filter = Annotated[str, Meta(max_length=MAX_FILTER)]
PageSize = Annotated[int, Meta(ge=1, le=MAX_PAGE_SIZE)]
Moment = Annotated[
    str,
    Meta(
        description="RFC 3339, with its zone.",
        examples=["2026-01-31T09:30:00Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
Permissions = Annotated[list[str], Meta(max_length=200)]  # as user-management has it
Version = Annotated[int, Meta(ge=1, le=2**63 - 1, description="As it was at this version.")]
PageToken = Annotated[str, Meta(description="next_page_token of the page before.")]


class CreateUser(msgspec.Struct, forbid_unknown_fields=True):
    email: Annotated[str, Meta(examples=["ada@example.com"])]
    name: Annotated[str, Meta(examples=["Ada Lovelace"])]
    locale: Locale | None = None
    attributes: Attributes | None = None


class UpdateUser(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON merge patch (RFC 7396)."""

    email: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    locale: Annotated[Locale | None, Meta(description="null: none chosen.")] | UnsetType = UNSET
    attributes: (
        Annotated[
            Attributes | None,
            Meta(description="A merge patch of the attributes; null removes all of them."),
        ]
        | UnsetType
    ) = UNSET
    status: Status | UnsetType = UNSET


class CreateRole(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(examples=["editor"])]
    permissions: Annotated[Permissions, Meta(examples=[["documents:write"]])]
    description: str | None = None


class UpdateRole(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON merge patch (RFC 7396)."""

    name: str | UnsetType = UNSET
    description: Annotated[str | None, Meta(description="null: empty.")] | UnsetType = UNSET
    permissions: Permissions | UnsetType = UNSET


class NoQuery(msgspec.Struct):
    """No parameters."""


class GetUser(msgspec.Struct):
    at: Annotated[Moment, Meta(description="As it was then.")] | UnsetType = UNSET
    version: Version | UnsetType = UNSET


class ListUsers(msgspec.Struct):
    q: Annotated[Filter, Meta(description="Part of the name or e-mail.")] | UnsetType = UNSET
    email: Annotated[Filter, Meta(description="Exactly this e-mail.")] | UnsetType = UNSET
    role: Annotated[Filter, Meta(description="Id or name of a role.")] | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    at: Annotated[Moment, Meta(description="The list as it was then.")] | UnsetType = UNSET
    order_by: Annotated[
        Literal[
            "created_at", "-created_at", "updated_at", "-updated_at",
            "email", "-email", "name", "-name",
        ],
        Meta(description="A leading `-` turns the order round."),
    ] = "created_at"  # fmt: skip
    page_size: PageSize = DEFAULT_PAGE_SIZE
    page_token: PageToken | UnsetType = UNSET


class ListRoles(msgspec.Struct):
    name: Annotated[Filter, Meta(description="Exactly this name.")] | UnsetType = UNSET
    page_size: PageSize = DEFAULT_PAGE_SIZE
    page_token: PageToken | UnsetType = UNSET


class EventFilters(msgspec.Struct):
    """Every one that is given has to hold."""

    type: (
        Annotated[
            Filter, Meta(description="Whole, or its last part.", examples=["UserUpdatedEvent"])
        ]
        | UnsetType
    ) = UNSET
    actor: (
        Annotated[Filter, Meta(description="users/<id>, tokens/<id> or services/<name>.")]
        | UnsetType
    ) = UNSET
    since: Annotated[Moment, Meta(description="Recorded then or later.")] | UnsetType = UNSET
    until: Annotated[Moment, Meta(description="Recorded then or earlier.")] | UnsetType = UNSET
    order_by: Annotated[
        Literal["recorded_at", "-recorded_at"],
        Meta(description="A leading `-` puts the newest first."),
    ] = "recorded_at"


class ListTimeline(EventFilters):
    """The events of one user."""

    page_size: PageSize = DEFAULT_PAGE_SIZE
    page_token: PageToken | UnsetType = UNSET


class ExportEvents(EventFilters):
    """All that the filters select: an export has no pages."""

    subject: Annotated[Filter, Meta(description="users/<id> or roles/<id>.")] | UnsetType = UNSET


class ListEvents(ExportEvents):
    page_size: Annotated[PageSize, Meta(description="Not of an export.")] = DEFAULT_PAGE_SIZE
    page_token: Annotated[PageToken, Meta(description="Not of an export.")] | UnsetType = UNSET
