"""The sender while Postgres is away."""

import threading
from pathlib import Path

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
