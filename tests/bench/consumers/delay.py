"""From handing an event to the publisher to the commit of its row, as others see it."""

import json
import select
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import psycopg2
from bench.load import percentile

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import KafkaSettings, Publisher, Recorded
from rollcall_events.ids import uuid7

CHANNEL = "user_management_g1"
WITHIN = 20.0  # seconds after the last append, for all to be visible


class _Watch:
    """Notes when each position became visible, as the projection's NOTIFY tells."""

    def __init__(self, database: str):
        self._connection = psycopg2.connect(database)
        self._connection.autocommit = True
        with self._connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        self.passed: list[tuple[float, dict[int, int]]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if select.select([self._connection], [], [], 0.1)[0]:
                self._connection.poll()
                now = time.perf_counter()
                for told in self._connection.notifies:
                    offsets = {int(p): int(o) for p, o in json.loads(told.payload).items()}
                    self.passed.append((now, offsets))
                self._connection.notifies.clear()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._connection.close()


def percentiles(
    settings: KafkaSettings, database: str, rate: int, seconds: float
) -> tuple[float, float]:
    """Milliseconds, p50 and p99, at so many events a second."""
    waits = sorted(_waits(settings, database, rate, seconds))
    return 1000 * percentile(waits, 50), 1000 * percentile(waits, 99)


def longest(
    settings: KafkaSettings, database: str, rate: int, seconds: float, fault: Callable[[], None]
) -> float:
    """The most seconds that an event waits, at so many a second, where `fault` happens meanwhile:
    after the first fifth of them."""
    return max(_waits(settings, database, rate, seconds, fault))


def _waits(
    settings: KafkaSettings,
    database: str,
    rate: int,
    seconds: float,
    fault: Callable[[], None] = lambda: None,
) -> list[float]:
    """Seconds from append to visible row, of each event."""
    watch = _Watch(database)
    publisher = Publisher(settings, "users", "/services/bench")
    publisher.start()
    publisher.publish(_creation()).result(10)  # the client asks for its id with the first
    sent = _publish(publisher, rate, seconds, fault)
    places = [(at, future.result(10).position) for at, future in sent]
    publisher.stop()
    last = {p.partition: p.offset for _, p in places}
    pause, end = threading.Event(), time.perf_counter() + WITHIN
    while not _reached(watch, last):
        if time.perf_counter() > end:
            raise TimeoutError("the projection did not come to the log's end")
        pause.wait(0.05)
    watch.stop()
    seen = _seen(watch)
    return [seen[p.partition, p.offset] - at for at, p in places]


def _publish(
    publisher: Publisher, rate: int, seconds: float, fault: Callable[[], None]
) -> list[tuple[float, Future[Recorded]]]:
    """Each with when it was handed over."""
    sent: list[tuple[float, Future[Recorded]]] = []
    pause, events = threading.Event(), int(rate * seconds)
    began = time.perf_counter()
    for n in range(events):
        wait = began + n / rate - time.perf_counter()
        if wait > 0:
            pause.wait(wait)
        if n == events // 5:
            fault()
        event = _creation()
        sent.append((time.perf_counter(), publisher.publish(event)))
    return sent


def _creation() -> pb.UserCreatedEvent:
    user = uuid7()
    person = pb.Person(email=f"{user}@example.com", name="Delay")
    return pb.UserCreatedEvent(user_id=user, person=person)


def _reached(watch: _Watch, last: dict[int, int]) -> bool:
    reached: dict[int, int] = {}
    for _, offsets in list(watch.passed):
        reached |= offsets
    return all(reached.get(partition, 0) > offset for partition, offset in last.items())


def _seen(watch: _Watch) -> dict[tuple[int, int], float]:
    """When each position was passed first."""
    seen: dict[tuple[int, int], float] = {}
    reached: dict[int, int] = {}
    for at, offsets in watch.passed:
        for partition, next_ in offsets.items():
            for offset in range(reached.get(partition, 0), next_):
                seen.setdefault((partition, offset), at)
            reached[partition] = next_
    return seen
