"""When a delivery was last tried again by hand."""

from alembic import op

from rollcall_service import ledger

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    ledger.create_v4(op)
