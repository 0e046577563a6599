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
    permissions: Annotated[list[str], Meta(examples=[["documents:write"]])]
    description: str | None = None


class UpdateRole(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON merge patch (RFC 7396)."""

    name: str | UnsetType = UNSET
    description: Annotated[str | None, Meta(description="null: empty.")] | UnsetType = UNSET
    permissions: list[str] | UnsetType = UNSET


class NoQuery(msgspec.Struct):
    """No parameters."""


class ListUsers(msgspec.Struct):
    q: Annotated[Filter, Meta(description="Part of the name or e-mail.")] | UnsetType = UNSET
    email: Annotated[Filter, Meta(description="Exactly this e-mail.")] | UnsetType = UNSET
    role: Annotated[Filter, Meta(description="Id or name of a role.")] | UnsetType = UNSET
    status: Status | UnsetType = UNSET
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
