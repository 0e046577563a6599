"""What a command can be refused for. `reason` is the published name (commands.proto)."""

from datetime import datetime


class DomainError(Exception):
    reason = "REFUSED"
    field: str | None = None

    def metadata(self) -> dict[str, str]:
        return {}


class NotFound(DomainError):
    """The aggregate never existed, or was deleted."""

    def __init__(self, kind: str, deleted_at: datetime | None = None):
        super().__init__(f"the {kind} was deleted" if deleted_at else f"no such {kind}")
        self.reason = f"{kind.upper()}_NOT_FOUND"
        self.deleted_at = deleted_at

    def metadata(self) -> dict[str, str]:
        if self.deleted_at is None:
            return {}
        return {"deleted_at": self.deleted_at.isoformat().replace("+00:00", "Z")}


class VersionMismatch(DomainError):
    reason = "VERSION_MISMATCH"

    def __init__(self, expected: int, current: int):
        super().__init__(f"the version is {current}, not {expected}: read it again")
        self.current = current

    def metadata(self) -> dict[str, str]:
        return {"current_version": str(self.current)}


class Taken(DomainError):
    """Another aggregate has the unique value."""

    def __init__(self, field: str):
        super().__init__(f"the {field} is taken")
        self.field = field
        self.reason = {"email": "EMAIL_TAKEN", "name": "ROLE_NAME_TAKEN", "id": "ID_TAKEN"}[field]


class SequenceParked(DomainError):
    """An event in the log could not be applied yet, and what follows it waits (design §6)."""

    reason = "SEQUENCE_PARKED"

    def __init__(self) -> None:
        super().__init__("an event before this could not be applied yet; nothing was done")


class Protected(DomainError):
    reason = "ROLE_PROTECTED"

    def __init__(self, what: str):
        super().__init__(f"the role admin cannot be {what}")
