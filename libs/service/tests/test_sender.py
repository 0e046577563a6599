"""The sender on a real Postgres, with what goes out recorded instead of sent."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

from sqlalchemy import Engine, text
from support.sending import (
    SCHEMA,
    WITHIN,
    Provider,
    counts,
    owe,
    refuse,
    row,
)
from support.waiting import eventually

from rollcall_local.postgres import Server
from rollcall_service import ledger
from rollcall_service.ledger import Delivery
from rollcall_service.postgres import make_engine
from rollcall_service.schedule import Schedule
from rollcall_service.sender import FALLBACK, Permanent, Sender, Transient


def test_a_commit_wakes_it_at_once(engine: Engine, start: Callable[..., Sender]) -> None:
    provider = Provider()
    sender = start(provider)
    owe(engine, "ada: first")
    eventually(lambda: provider.accepted == ["ada: first"])
    eventually(lambda: counts(engine) == {"sent": 1})
    began = time.monotonic()
    owe(engine, "ada: second")
    eventually(lambda: len(provider.accepted) == 2)
    assert time.monotonic() - began < FALLBACK / 5
    assert sender.healthy()


def test_order_per_recipient_while_many_send(engine: Engine, start: Callable[..., Sender]) -> None:
    provider = Provider()
    for name in ("one", "two", "three"):
        start(provider, name=name, workers=4)
    texts = [f"user{n % 5}: {n}" for n in range(100)]
    owe(engine, *texts)
    eventually(lambda: counts(engine) == {"sent": 100})
    for n in range(5):
        mine = [a for a in provider.accepted if a.startswith(f"user{n}:")]
        assert mine == texts[n::5]


def test_order_holds_across_retries(engine: Engine, start: Callable[..., Sender]) -> None:
    provider = Provider()

    def twice_busy(delivery: Delivery) -> None:
        if delivery.payload["text"] == "first" and delivery.attempts < 3:
            raise Transient("busy")

    provider.answers["ada"] = twice_busy
    start(provider)
    owe(engine, "ada: first", "ada: second")
    eventually(lambda: counts(engine) == {"sent": 2})
    assert provider.accepted == ["ada: first", "ada: second"]
    assert row(engine, "ada").attempts == 3


def test_what_is_refused_for_good_fails_and_the_next_goes_on(
    engine: Engine, start: Callable[..., Sender]
) -> None:
    provider = Provider()

    def no(delivery: Delivery) -> None:
        if delivery.payload["text"] == "bad":
            raise Permanent("no such mailbox")

    provider.answers["ada"] = no
    start(provider)
    owe(engine, "ada: bad", "ada: good")
    eventually(lambda: counts(engine) == {"failed": 1, "sent": 1})
    assert provider.accepted == ["ada: good"]
    failed = row(engine, "ada")
    assert (failed.last_error, failed.attempts) == ("no such mailbox", 1)
    assert failed.leased_by is None
    assert failed.finished_at is not None


def test_a_failing_and_a_hanging_recipient_delay_nobody_else(
    engine: Engine, start: Callable[..., Sender]
) -> None:
    hanging = threading.Event()
    provider = Provider({"dead": refuse(Transient("busy")), "slow": lambda _: hanging.wait(WITHIN)})
    start(provider, workers=3)
    owe(engine, "dead: 1", "dead: 2", "slow: 1", "slow: 2", *(f"user{n}: hi" for n in range(30)))
    eventually(lambda: len(provider.accepted) == 30)
    assert not hanging.is_set()
    hanging.set()


def test_many_recipients_that_hang_leave_workers_to_the_others(
    engine: Engine, start: Callable[..., Sender]
) -> None:
    released = threading.Event()

    def hang(delivery: Delivery) -> None:
        if delivery.attempts == 1:
            raise Transient("no answer")
        released.wait(WITHIN)

    names = [f"hangs{n}" for n in range(10)]
    provider = Provider(dict.fromkeys(names, hang))
    start(provider, workers=4)
    owe(engine, *(f"{name}: hi" for name in names))
    eventually(lambda: len(provider.tried) == 12)  # two workers wait again, the others are free
    owe(engine, *(f"user{n}: hi" for n in range(30)))
    eventually(lambda: len(provider.accepted) == 30)
    assert len(provider.tried) == 42
    released.set()
    eventually(lambda: counts(engine) == {"sent": 40})


def test_retry_after_is_honoured(engine: Engine, start: Callable[..., Sender]) -> None:
    provider = Provider()

    def once_limited(delivery: Delivery) -> None:
        if delivery.attempts == 1:
            raise Transient("ratelimited", retry_after=0.7)

    provider.answers["ada"] = once_limited
    start(provider)
    owe(engine, "ada: hi")
    eventually(lambda: counts(engine) == {"sent": 1})
    (_, first), (_, second) = provider.tried
    assert 0.7 <= second - first < 3


def test_gives_up_at_an_age(engine: Engine, start: Callable[..., Sender]) -> None:
    provider = Provider({"ada": refuse(Transient("busy"))})
    start(provider, schedule=Schedule(first=0.02, longest=0.1, give_up=0.5))
    owe(engine, "ada: hi")
    eventually(lambda: counts(engine) == {"failed": 1})
    assert row(engine, "ada").attempts > 1
    assert row(engine, "ada").last_error == "busy"


def test_a_defect_of_send_is_tried_again(engine: Engine, start: Callable[..., Sender]) -> None:
    provider = Provider()

    def broken_once(delivery: Delivery) -> None:
        if delivery.attempts == 1:
            raise ZeroDivisionError("with something personal")

    provider.answers["ada"] = broken_once
    sender = start(provider, workers=1)
    owe(engine, "ada: hi")
    eventually(lambda: counts(engine) == {"sent": 1})
    assert sender.healthy()


def test_the_last_error_names_nobody(engine: Engine, start: Callable[..., Sender]) -> None:
    start(
        Provider({"ada": refuse(KeyError("ada@example.com"))}),
        schedule=Schedule(first=0.01, longest=0.01, give_up=0.0),
    )
    owe(engine, "ada: hi")
    eventually(lambda: counts(engine) == {"failed": 1})
    assert row(engine, "ada").last_error == "unexpected: KeyError"


def test_spacing_holds_across_replicas(engine: Engine, start: Callable[..., Sender]) -> None:
    provider = Provider()
    for name in ("one", "two"):
        start(provider, name=name, spacing=0.3)
    owe(engine, "ada: 1", "ada: 2", "ada: 3", "bob: 1")
    eventually(lambda: counts(engine) == {"sent": 4})
    times = [at for who, at in provider.tried if who == "ada"]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(0.3 <= gap < 1.5 for gap in gaps)


LEASE = 6.0  # renewed every 2 s, so that a process may be 4 s late
HOLDER = """
import sys
import threading
from rollcall_service.postgres import make_engine
from rollcall_service.sender import Sender

def hang(delivery):
    sys.stdout.write("holding\\n")
    sys.stdout.flush()
    threading.Event().wait()

engine = make_engine(sys.argv[1], schema=sys.argv[2])
Sender(engine, hang, schema=sys.argv[2], name="killed", lease=float(sys.argv[3])).start()
threading.Event().wait()
"""


def test_what_a_killed_process_held_is_taken_over_when_its_lease_ends(
    engine: Engine, postgres: Server, start: Callable[..., Sender]
) -> None:
    command = [sys.executable, "-c", HOLDER, postgres.url(), SCHEMA, str(LEASE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            owe(engine, "ada: hi")
            assert process.stdout.readline() == "holding\n"
            provider = Provider()
            start(provider, lease=LEASE)
            # While it lives it renews, also what it has renewed, so nobody takes what it holds.
            for _ in range(2):
                eventually(partial(renewed, engine, row(engine, "ada")))
            assert provider.accepted == []
        finally:
            process.kill()
    eventually(lambda: provider.accepted == ["ada: hi"], within=30)  # Postgres may be new
    eventually(lambda: counts(engine) == {"sent": 1})
    assert row(engine, "ada").attempts == 2


def renewed(engine: Engine, held: Any) -> bool:
    """By the one that held it, and not by one that took it."""
    now = row(engine, "ada")
    return bool(now.leased_by == held.leased_by and now.lease_until > held.lease_until)


def test_a_ledger_that_is_not_there_ends_it(engine: Engine) -> None:
    lost = make_engine(engine.url.render_as_string(hide_password=False), schema="nowhere")
    sender = Sender(lost, Provider().send, schema="nowhere", name="test")
    sender.start()
    assert sender.failed.wait(WITHIN)
    sender.stop()
    assert not sender.healthy()
    lost.dispose()


def test_the_clock_may_be_anothers(engine: Engine, start: Callable[..., Sender]) -> None:
    """Hours of retrying, in no time."""

    def tried_and_recorded(times: int) -> bool:
        return len(provider.tried) >= times and row(engine, "ada").leased_by is None

    clock = [datetime.now(UTC) + timedelta(minutes=1)]
    provider = Provider({"ada": refuse(Transient("busy", retry_after=3600))})
    start(provider, schedule=Schedule(), now=lambda: clock[0], jitter=lambda: 0.0)
    owe(engine, "ada: hi")
    eventually(lambda: row(engine, "ada").last_error == "busy")
    for attempts in range(2, 25):
        clock[0] += timedelta(hours=1)
        ring(engine)
        eventually(partial(tried_and_recorded, attempts))
    assert counts(engine) == {"failed": 1}
    assert len(provider.tried) == 24


def ring(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"NOTIFY {ledger.channel(SCHEMA)}"))
