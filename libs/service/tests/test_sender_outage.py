"""The sender while Postgres is away."""

import threading
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine, text
from support.sending import QUICK, SCHEMA, WITHIN, Provider, counts, owe, prepare
from support.waiting import eventually

from rollcall_local import ports
from rollcall_local.postgres import running
from rollcall_service.postgres import make_engine
from rollcall_service.sender import Sender


def test_postgres_away_for_longer_than_a_lease_repeats_nothing(tmp_path: Path) -> None:
    """What a provider accepted meanwhile is recorded later, and sent by nobody else before."""
    port = ports.free_port()
    answered = threading.Event()
    providers = [Provider({"ada": lambda _: answered.wait(WITHIN)}) for _ in range(2)]
    with running(tmp_path, port) as server:
        engine = make_engine(server.url(), schema=SCHEMA, pool_size=20)
        prepare(engine)
        senders = [
            Sender(engine, p.send, schema=SCHEMA, name="test", schedule=QUICK, lease=0.3)
            for p in providers
        ]
        for sender in senders:
            sender.start()
        owe(engine, "ada: accepted while Postgres was away")
        eventually(lambda: sum(len(p.tried) for p in providers) == 1)
    answered.set()
    eventually(lambda: sum(len(p.accepted) for p in providers) == 1)
    assert not threading.Event().wait(0.5)
    with running(tmp_path, port):
        eventually(lambda: counts(engine) == {"sent": 1})
        owe(engine, "bob: hi")
        eventually(lambda: counts(engine) == {"sent": 2})
        assert sum(len(p.tried) for p in providers) == 2
        for sender in senders:
            assert not sender.failed.is_set()
            sender.stop()
        engine.dispose()


def test_postgres_ends_the_session_that_waits_for_news(
    engine: Engine, start: Callable[..., Sender]
) -> None:
    """As an administrator may, or a crash that no transaction has met yet."""
    sender = start(Provider())
    eventually(lambda: _listening(engine))
    ended = _listening(engine)
    with engine.connect() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(p) FROM unnest(CAST(:p AS int[])) p"), {"p": ended}
        )
    eventually(lambda: set(_listening(engine)) - set(ended))
    owe(engine, "ada: hi")
    eventually(lambda: counts(engine) == {"sent": 1})
    assert sender.healthy()


def _listening(engine: Engine) -> list[int]:
    """Process ids."""
    with engine.connect() as connection:
        return list(
            connection.execute(
                text("SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
            ).scalars()
        )
