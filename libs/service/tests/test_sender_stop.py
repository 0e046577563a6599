"""What a sender that is stopped does with what is in flight, on a real Postgres."""

import threading
import time
from collections.abc import Callable

from sqlalchemy import Engine
from support.sending import WITHIN, Provider, counts, owe, row
from support.waiting import eventually

from rollcall_service.ledger import Delivery
from rollcall_service.sender import Sender


def test_stop_finishes_what_is_in_flight(engine: Engine, start: Callable[..., Sender]) -> None:
    going = threading.Event()

    def slowly(delivery: Delivery) -> None:
        going.set()
        threading.Event().wait(2.5)

    provider = Provider({"ada": slowly})
    sender = start(provider)
    owe(engine, "ada: hi", "ada: next")
    assert going.wait(WITHIN)
    sender.stop()
    assert provider.accepted == ["ada: hi"]
    assert counts(engine) == {"sent": 1, "pending": 1}


def test_stop_records_what_ends_though_something_hangs(
    engine: Engine, start: Callable[..., Sender]
) -> None:
    """Whoever loses patience with the stop, and kills, must not have the rest sent again."""
    going, end, stopping = threading.Barrier(3), threading.Event(), threading.Event()

    def hang(delivery: Delivery) -> None:
        going.wait(WITHIN)
        end.wait(WITHIN)

    def slowly(delivery: Delivery) -> None:
        going.wait(WITHIN)
        stopping.wait(WITHIN)

    sender = start(Provider({"ada": hang, "bob": slowly}))
    owe(engine, "ada: hi", "bob: hi")
    going.wait(WITHIN)
    stop = threading.Thread(target=sender.stop)
    stop.start()
    stopping.set()
    eventually(lambda: row(engine, "bob").state == "sent")
    assert stop.is_alive()
    end.set()
    stop.join(WITHIN)
    assert counts(engine) == {"sent": 2}


def test_stop_keeps_what_is_in_flight_from_others(
    engine: Engine, start: Callable[..., Sender]
) -> None:
    """A lease may be as good as over when the stop begins."""
    going, end = threading.Event(), threading.Event()

    def hang(delivery: Delivery) -> None:
        going.set()
        end.wait(WITHIN)

    sender = start(Provider({"ada": hang}), lease=60.0)
    owe(engine, "ada: hi")
    assert going.wait(WITHIN)
    before = row(engine, "ada").lease_until
    stop = threading.Thread(target=sender.stop)
    stop.start()
    eventually(lambda: row(engine, "ada").lease_until > before)
    end.set()
    stop.join(WITHIN)
    assert counts(engine) == {"sent": 1}


def test_stop_releases_what_hangs(engine: Engine, start: Callable[..., Sender]) -> None:
    """After half a lease, and before the lease ends by itself."""
    going, end = threading.Event(), threading.Event()
    lease = 6.0

    def hang(delivery: Delivery) -> None:
        going.set()
        end.wait(WITHIN)

    sender = start(Provider({"ada": hang}), lease=lease)
    owe(engine, "ada: hi")
    assert going.wait(WITHIN)
    began = time.monotonic()
    sender.stop()
    stopped = time.monotonic() - began
    assert lease / 2 <= stopped < lease / 2 + 1
    assert row(engine, "ada").lease_until is None
    other = Provider()
    start(other)
    eventually(lambda: other.accepted == ["ada: hi"])
    end.set()
