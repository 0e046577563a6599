"""Which events of a batch its transaction is begun for."""

from collections.abc import Sequence
from typing import Any, cast

from google.protobuf.message import Message

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import PARTITIONS, Event, Rejection, Statement, Subscription
from rollcall_events.folding import Folded, Outcome, decode_all
from rollcall_events.inbox import handle
from rollcall_events.memory import MemoryTopic
from rollcall_events.postgres import Wire
from rollcall_events.tracing import Processing

USER = "018f0000-0000-7000-8000-000000000001"


class NoWire:
    """For a group that asks Postgres nothing."""

    def keep(self) -> None:
        pass


CREATED = pb.UserCreatedEvent(user_id=USER, person=pb.Person(email="ada@example.com"))
SIGNED_IN = pb.UserLoggedInEvent(user_id=USER)


class Group:
    """Handles creations only, and notes what it is asked."""

    def __init__(self) -> None:
        self.begun: list[list[str]] = []
        self.handled: list[str] = []
        self.rejected: list[int] = []
        self.subscription = Subscription(
            "g",
            "s",
            "users",
            {"rollcall.users.v1.UserCreatedEvent": self._handle},
            begin=self._begin,
            end=self._end,
        )

    def handle(self, *messages: Message, rejections: Sequence[Rejection] = ()) -> list[Statement]:
        topic = MemoryTopic()
        for message in messages:
            topic.publish(message)
        records = [record for lane in topic.records.values() for record in lane]
        decoded = decode_all(self.subscription, records, PARTITIONS, Outcome())
        events = [(record, cast(Event, event)) for record, event in decoded]
        folded = Folded(events=events, rejections=list(rejections))
        return list(handle(cast(Wire, NoWire()), self.subscription, folded, Processing("g")))

    def _begin(self, wire: Wire, events: Sequence[Event]) -> list[str]:
        self.begun.append([type(event.message).__name__ for event in events])
        return self.handled

    def _handle(self, event: Event, transaction: Any) -> None:
        transaction.append(event.key)

    def _end(self, transaction: Any, rejections: Sequence[Rejection]) -> list[Statement]:
        self.rejected.append(len(rejections))
        return [("DONE", ())]


def test_it_is_begun_for_those_that_have_a_handler() -> None:
    group = Group()
    assert group.handle(SIGNED_IN, CREATED, SIGNED_IN) == [("DONE", ())]
    assert (group.begun, group.handled) == ([["UserCreatedEvent"]], [USER])


def test_a_batch_without_any_begins_nothing() -> None:
    group = Group()
    assert group.handle(SIGNED_IN) == []
    assert (group.begun, group.rejected) == ([], [])


def test_but_a_rejection_is_told() -> None:
    group = Group()
    (record,) = (r for lane in _published(SIGNED_IN).records.values() for r in lane)
    group.handle(SIGNED_IN, rejections=[Rejection(record, "wrong")])
    assert (group.begun, group.rejected) == ([[]], [1])


def _published(message: Message) -> MemoryTopic:
    topic = MemoryTopic()
    topic.publish(message)
    return topic
