"""Where records wait that could not be handled, and those behind them."""

from alembic import op
from sqlalchemy import text

from rollcall_events.schema import CREATE_V2, create_discards_v1

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    create_discards_v1(op)
    op.execute("LOCK TABLE generations IN EXCLUSIVE MODE")  # none is made meanwhile
    rows = op.get_bind().execute(text("SELECT number FROM user_management.generations"))
    for number in [row.number for row in rows]:
        op.execute(f"SET LOCAL search_path = user_management_g{number}")
        for statement in CREATE_V2:
            op.execute(statement)
    op.execute("SET LOCAL search_path = user_management")
