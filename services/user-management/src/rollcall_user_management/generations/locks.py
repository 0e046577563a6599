"""What a take-over must not meet halfway: admissions, and projections that settle them.

Each of them shares one advisory lock until it commits, and a take-over takes it alone. Only a
statement after the lock asks which generation is live (READ COMMITTED: it sees all that was
committed until then), so whatever came first is seen by whoever comes second.
"""

from rollcall_events import Statement

_KEY = 0x67656E6572617465  # any constant, as long as it stays
SHARE = f"SELECT pg_advisory_xact_lock_shared({_KEY})"
TAKE = f"SELECT pg_advisory_xact_lock({_KEY})"

# Of a session that sees a generation's schema first.
ITS_ROW = "generations WHERE 'user_management_g' || number = current_schema()"

# For the end of a projection's transaction, before it settles. Of what is being filled nobody waits
# for the disk: its offsets are lost together with its rows, and are projected again.
PREPARE_ENDING = f"""
PREPARE hurry AS SELECT set_config('synchronous_commit', 'off', true)
FROM {ITS_ROW} AND state = 'filling';
"""  # noqa: S608  (constants)
ENDING: Statement = (f"{SHARE}; EXECUTE hurry", ())
