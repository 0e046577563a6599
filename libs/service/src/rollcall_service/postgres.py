"""Connections to Postgres: every one has a deadline, and a schema of its own."""

import msgspec
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url

from rollcall_events.postgres import IDLE_LIMIT


def make_engine(
    url: str, *, schema: str, pool_size: int = 5, statement_timeout_ms: int = 30_000
) -> Engine:
    """An engine whose connections see `schema` first and fail rather than wait for ever."""
    parsed = make_url(url).set(drivername="postgresql+psycopg2")
    options = " ".join(
        f"-c {name}={value}"
        for name, value in {
            "search_path": schema,
            "timezone": "UTC",
            "statement_timeout": statement_timeout_ms,
            "lock_timeout": 5_000,
            "idle_in_transaction_session_timeout": round(IDLE_LIMIT * 1000),
            # An acknowledged outcome is not forgotten by a crash, whatever the server's default.
            "synchronous_commit": "on",
        }.items()
    )
    return create_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        # A pooled connection that died while Postgres was away is replaced, not handed out.
        pool_pre_ping=True,
        json_deserializer=msgspec.json.decode,
        connect_args={
            "options": options,
            "connect_timeout": 3,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
        },
    )
