"""Searching by a part of a name needs an index of trigrams, of an extension of Postgres.

pg_trgm is trusted: whoever may create in the database may create it.
"""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA user_management")
