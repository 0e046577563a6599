"""What concurrent clients asked of users and were told, and what is wrong with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

ABSENT = "(not yet created)"
DELETED = "(deleted)"


class Kind(StrEnum):
    CREATE = "POST"
    PATCH = "PATCH"
    DELETE = "DELETE"
    GET = "GET"


@dataclass(frozen=True, slots=True)
class Operation:
    """One request on one user, and its answer.

    The state of a user is one value (a name, say): `asked` is what a creation or a patch sets,
    None where the patch mentions nothing; `seen` is what the answer shows. A 409, and a 503 that
    says that nothing was done, tell nothing about the user.
    """

    client: str
    kind: Kind
    user: str  # id
    invoked: float  # seconds of one clock for all clients
    responded: float | None  # None: the outcome is unknown
    status: int | None = None
    version: int | None = None  # of the ETag, also of a 412's
    if_match: int | None = None
    asked: str | None = None
    seen: str | None = None
    token_version: int = 0  # of the answer whose Consistency-Token a GET sent; 0: it sent none
    deleted: bool = False  # a 404 that says when the user was deleted

    @property
    def succeeded(self) -> bool:
        return self.status in (200, 201, 204)

    def __str__(self) -> str:
        details = [
            "" if self.if_match is None else f" If-Match {self.if_match}",
            "" if self.asked is None else f" {self.asked!r}",
            f" with the token of version {self.token_version}" if self.token_version else "",
        ]
        return f"[{self.client}: {self.kind}{''.join(details)}, {self._answer()}]"

    def _answer(self) -> str:
        if self.responded is None:
            return f"outcome unknown, from {self.invoked:.6f} s"
        version = "" if self.version is None else f" version {self.version}"
        seen = "" if self.seen is None else f" {self.seen!r}"
        deleted = " deleted" if self.deleted else ""
        times = f"{self.invoked:.6f} to {self.responded:.6f} s"
        return f"{self.status}{version}{deleted}{seen}, {times}"


@dataclass(frozen=True)
class Violation:
    """A rule that does not hold, and the operations that show it."""

    rule: str
    explanation: str
    operations: Sequence[Operation]

    def __str__(self) -> str:
        return f"{self.rule}: {self.explanation}"
