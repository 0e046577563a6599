"""What a generation of the read store is for, and which tables it has."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE generations ADD COLUMN state text,"
        " ADD COLUMN layout integer NOT NULL DEFAULT 1,"
        " ADD COLUMN full_speed boolean NOT NULL DEFAULT false"
    )
    op.execute("UPDATE generations SET state = CASE WHEN live THEN 'live' ELSE 'standby' END")
    op.execute("DROP INDEX generations_live")
    # A generation that was dropped keeps its row: its number, and so its group, is not used again.
    op.execute(
        "ALTER TABLE generations DROP COLUMN live, ALTER COLUMN layout DROP DEFAULT,"
        " ALTER COLUMN state SET NOT NULL, ADD CHECK"
        " (state IN ('filling', 'live', 'standby', 'dropping', 'dropped')),"
        " ADD COLUMN live boolean GENERATED ALWAYS AS (state = 'live') STORED"
    )
    op.execute("CREATE UNIQUE INDEX generations_live ON generations (live) WHERE live")
