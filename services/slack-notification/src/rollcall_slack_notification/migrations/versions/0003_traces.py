"""The trace that a delivery belongs to."""

from alembic import op

from rollcall_service import ledger

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    ledger.create_v2(op)
