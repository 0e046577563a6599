"""The group's tables, the ledger and the recipients view."""

from alembic import op

from rollcall_events import schema
from rollcall_service import ledger

revision = "0001"
down_revision = None


def upgrade() -> None:
    schema.create_v1(op)
    ledger.create_v1(op)
    op.execute(
        """CREATE TABLE recipients (
             user_id uuid PRIMARY KEY, email text NOT NULL, name text NOT NULL,
             locale text NOT NULL, suspended boolean NOT NULL)"""
    )
