"""What is held is not what it would be: a single aggregate is not shown until it is run."""

from sqlalchemy import Connection, text

from rollcall_user_management.domain.errors import SequenceParked

_PARKED = text("SELECT 1 FROM parked WHERE key = cast(:id AS uuid)")


def check_not_parked(connection: Connection, id_: str) -> None:
    """Raises SequenceParked."""
    if connection.execute(_PARKED, {"id": id_}).first() is not None:
        raise SequenceParked
