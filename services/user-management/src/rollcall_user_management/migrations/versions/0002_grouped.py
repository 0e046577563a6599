"""Answers of commands that changed nothing, what a command was, and where the offsets are from."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # Of the command without its context and generated ids: a repetition has to be the same.
    op.execute("ALTER TABLE admissions ADD COLUMN fingerprint bytea")
    # Marking touches no indexed column and stays on its page (HOT); most rows are marked and
    # settled within moments of their making.
    op.execute("ALTER TABLE admissions SET (fillfactor = 60)")
    op.execute("DROP INDEX admissions_append_again")
    op.execute(
        # `attempts` is there to say so: no query of anything else may take this index.
        "CREATE INDEX admissions_append_again ON admissions (append_again_at)"
        " WHERE settled_at IS NULL AND attempts >= 0"
    )
    # `version` likewise: what is looked for by its claim must not be, among all that is unsettled.
    op.execute("DROP INDEX admissions_key")
    op.execute(
        "CREATE INDEX admissions_key ON admissions (key) WHERE settled_at IS NULL AND version > 0"
    )
    op.execute("DROP INDEX admissions_settled")
    op.execute(
        "CREATE INDEX admissions_settled ON admissions (settled_at) WHERE settled_at IS NOT NULL"
    )
    op.execute(
        """CREATE TABLE answers (
             command_id text PRIMARY KEY, fingerprint bytea NOT NULL, answer bytea NOT NULL,
             kept_at timestamptz NOT NULL DEFAULT now())"""
    )
    op.execute("CREATE INDEX answers_kept_at ON answers (kept_at)")
    # One row: the log and the Postgres that the offsets are of, and, while this Postgres may hold
    # less than the log was told of, since when, why, and the log's ends to be passed.
    op.execute(
        """CREATE TABLE origin (
             only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
             cluster_id text NOT NULL, topic_id text NOT NULL,
             system_id text NOT NULL, timeline text NOT NULL,
             held_since timestamptz, reason text, ends jsonb)"""
    )
