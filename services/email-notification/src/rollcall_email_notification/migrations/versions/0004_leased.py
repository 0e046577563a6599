"""What is on its way to a recipient."""

from alembic import op

from rollcall_service import ledger

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    ledger.create_v3(op)
