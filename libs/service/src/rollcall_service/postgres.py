"""Connections to Postgres: every one has a deadline, and a schema of its own."""

import psycopg2
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# Connections lost or refused, shutdowns, deadlocks, time-outs, exhausted resources: psycopg2
# puts each of these classes of SQLSTATE under one of the two.
_TRANSIENT = (
    OperationalError,
    InterfaceError,
    PoolTimeoutError,
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
)


def make_engine(
    url: str, *, schema: str, pool_size: int = 5, statement_timeout_ms: int = 30_000
) -> Engine:
    """An engine whose connections see `schema` first and fail rather than wait for ever."""
    parsed = make_url(url).set(drivername="postgresql+psycopg2")
    options = f"-c search_path={schema} -c statement_timeout={statement_timeout_ms} -c timezone=UTC"
    return create_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        # A pooled connection that died while Postgres was away is replaced, not handed out.
        pool_pre_ping=True,
        connect_args={
            "options": options,
            "connect_timeout": 3,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
        },
    )


def is_transient(error: BaseException) -> bool:
    """Whether the same work may succeed later without anybody changing it."""
    return isinstance(error, _TRANSIENT)
