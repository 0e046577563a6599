"""Where records wait that could not be handled, and those behind them."""

from alembic import op

from rollcall_events import schema

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    schema.create_v2(op)
