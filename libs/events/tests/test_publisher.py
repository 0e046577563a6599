"""What counts as an acknowledgement."""

from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, Message

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import KafkaSettings, NotAcknowledged, Position, Publisher, Recorded
from rollcall_events.ids import uuid7
from rollcall_events.publisher import resolve


def told(error: KafkaError | None, message: Message) -> Future[Recorded]:
    future: Future[Recorded] = Future()
    resolve(future, error, message)
    return future


def test_a_place_in_the_log_is_an_acknowledgement() -> None:
    report = Message(topic="users", partition=3, offset=0, timestamp=(2, 1_000))
    recorded = told(None, report).result(0)
    assert recorded.position == Position("users", 3, 0)
    assert recorded.recorded_at.timestamp() == 1


@pytest.mark.parametrize(
    "report",
    [
        Message(topic="users", partition=3, timestamp=(2, 1_000)),
        Message(topic="users", partition=3, offset=-1001, timestamp=(2, 1_000)),
    ],
)
def test_a_delivery_without_a_place_is_none(report: Message) -> None:
    """After a kill -9 of Kafka the client reported an event so that was not in the log."""
    with pytest.raises(NotAcknowledged):
        told(None, report).result(0)


def test_an_error_is_none() -> None:
    report = Message(topic="users", partition=3, offset=7, timestamp=(2, 1_000))
    with pytest.raises(NotAcknowledged):
        told(KafkaError(KafkaError._MSG_TIMED_OUT), report).result(0)


def test_what_is_in_flight_when_it_stops_is_none() -> None:
    publisher = Publisher(KafkaSettings("127.0.0.1:1"), "users", "/services/test")
    future = publisher.publish(pb.UserDeletedEvent(user_id=uuid7()))  # nobody has looked yet
    publisher.start()
    publisher.stop()
    with pytest.raises(NotAcknowledged):
        future.result(0)
