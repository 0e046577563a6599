"""The group's tables, the ledger and the view of admins."""

from alembic import op

from rollcall_events import schema
from rollcall_service import ledger

revision = "0001"
down_revision = None


def upgrade() -> None:
    schema.create_v1(op)
    ledger.create_v1(op)
    op.execute(
        "CREATE TABLE people (user_id uuid PRIMARY KEY, email text NOT NULL, name text NOT NULL)"
    )
    op.execute(
        """CREATE TABLE roles (
             role_id uuid PRIMARY KEY, name text NOT NULL, admin boolean NOT NULL,
             deleted boolean NOT NULL DEFAULT false)"""
    )
    op.execute(
        """CREATE TABLE grants (
             user_id uuid NOT NULL, role_id uuid NOT NULL, admin boolean NOT NULL,
             PRIMARY KEY (user_id, role_id))"""
    )
