"""Whether the log is there, judged by what is acknowledged. The client is a stand-in, since no
broker of ours takes nothing for one of its partitions alone."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import KafkaSettings, LogUnavailable, Publisher, publisher
from rollcall_events.ids import uuid7

PERSON = pb.Person(email="ada@example.com", name="Ada")


class Acknowledgement:
    def offset(self) -> int:
        return 0

    def partition(self) -> int:
        return 0

    def topic(self) -> str:
        return "users"

    def timestamp(self) -> tuple[int, int]:
        return (1, 0)


class Client:
    """Acknowledges nothing by itself. sent: what acknowledges each, in the order of sending."""

    def __init__(self) -> None:
        self.sent: list[Callable[[], None]] = []

    def produce(self, topic: str, *, on_delivery: Any, **record: Any) -> None:
        self.sent.append(lambda: on_delivery(None, Acknowledgement()))


class Publishing(Publisher):
    def _connect(self) -> Any:
        self.client = Client()
        return self.client

    def send(self) -> Callable[[], None]:
        self.publish(pb.UserCreatedEvent(user_id=uuid7(), person=PERSON))
        return self.client.sent[-1]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def publishing() -> Publishing:
    return Publishing(KafkaSettings("127.0.0.1:1"), "users", "/services/test")


def test_what_is_long_not_acknowledged_says_that_the_log_is_away(
    publishing: Publishing, clock: list[float]
) -> None:
    acknowledge = publishing.send()
    clock[0] += publisher.STALLED_AFTER
    assert publishing.available
    clock[0] += 0.1
    assert not publishing.available
    with pytest.raises(LogUnavailable):
        publishing.send()
    acknowledge()
    assert publishing.available


def test_a_partition_that_takes_nothing_does_not_stop_the_others(
    publishing: Publishing, clock: list[float]
) -> None:
    publishing.send()  # to the one that does not
    for _ in range(20):
        clock[0] += 1.0
        publishing.send()()
        assert publishing.available
    clock[0] += publisher.STALLED_AFTER + 0.1
    assert not publishing.available
