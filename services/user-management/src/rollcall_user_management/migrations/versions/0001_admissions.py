"""The write side's tables: admissions, and which generation of the read store is live."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute(
        "CREATE TABLE generations (number integer PRIMARY KEY, live boolean NOT NULL,"
        " made_at timestamptz NOT NULL DEFAULT now())"
    )
    op.execute("CREATE UNIQUE INDEX generations_live ON generations (live) WHERE live")
    # An admission is a claim (of the version and of the unique value) until it is settled, and
    # the kept answer of its command afterwards. appended_at: known to be in the log.
    op.execute(
        """CREATE TABLE admissions (
             event_id uuid PRIMARY KEY, key uuid NOT NULL, version bigint NOT NULL,
             command_id text NOT NULL UNIQUE, claim text,
             topic text NOT NULL, value bytea NOT NULL, headers jsonb NOT NULL,
             answer bytea NOT NULL, admitted_at timestamptz NOT NULL DEFAULT now(),
             append_again_at timestamptz NOT NULL, attempts integer NOT NULL DEFAULT 0,
             appended_at timestamptz, recorded_at timestamptz,
             partition integer, "offset" bigint, settled_at timestamptz)"""
    )
    op.execute("CREATE INDEX admissions_key ON admissions (key) WHERE settled_at IS NULL")
    op.execute(
        "CREATE INDEX admissions_claim ON admissions (claim)"
        " WHERE settled_at IS NULL AND claim IS NOT NULL"
    )
    op.execute(
        "CREATE INDEX admissions_append_again ON admissions (append_again_at)"
        " WHERE settled_at IS NULL AND appended_at IS NULL"
    )
    op.execute("CREATE INDEX admissions_settled ON admissions (settled_at)")
