"""A topic with users in it, and one replica of user-management without its gRPC."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine
from support.waiting import eventually

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import Consumer, KafkaSettings, Publisher, Topic, committed_offsets, log_ends
from rollcall_events.ids import uuid7
from rollcall_events.topic import TopicUnavailable, ensure_topic
from rollcall_service.migrations import upgrade
from rollcall_service.postgres import make_engine
from rollcall_user_management.admission.guard import Guard
from rollcall_user_management.projection.handlers import subscription
from rollcall_user_management.readstore import live_schema

ON_ITS_WAY = 1.0  # seconds; stands for the guard's own


@contextmanager
def read_store(url: str) -> Iterator[Engine]:
    """An empty read store in its first generation."""
    first = make_engine(url, schema="user_management", pool_size=1)
    upgrade(first, "rollcall_user_management", schema="user_management")
    schema = live_schema(first)
    first.dispose()
    engine = make_engine(url, schema=f"{schema},user_management", pool_size=10)
    yield engine
    engine.dispose()


class Log:
    """A topic, and what consumes it."""

    def __init__(self, settings: KafkaSettings, name: str):
        self.settings = settings
        self.topic = ensure_topic(settings, name)
        self.group = f"group-{name}"
        self._publisher = Publisher(settings, name, "/services/test")
        self._publisher.start()
        eventually(self._settled)

    def _settled(self) -> bool:
        """Whether the new topic has its leaders, and the group its coordinator."""
        try:
            return bool(log_ends(self.settings, self.topic)) and not self.told()
        except TopicUnavailable:
            return False

    def close(self) -> None:
        self._publisher.stop()

    def publish(self, users: int = 1) -> None:
        for n in range(users):
            person = pb.Person(email=f"{n}@x.org", name="Ada")
            self._publisher.publish(pb.UserCreatedEvent(user_id=uuid7(), person=person)).result(10)

    def guard(
        self,
        engine: Engine,
        rejoin: Callable[[], None] = lambda: None,
        on_its_way: float = ON_ITS_WAY,
    ) -> Guard:
        return Guard(
            engine,
            self.settings,
            lambda _: self.group,
            rejoin=rejoin,
            on_its_way=on_its_way,
        )

    def consumer(self, engine: Engine, verify: Callable[[Topic], None]) -> Consumer:
        projection = replace(
            subscription("user_management_g1"), group=self.group, topic=self.topic.name
        )
        return Consumer(projection, self.settings, engine, verify=verify)

    @contextmanager
    def replica(self, engine: Engine) -> Iterator[tuple[Guard, Consumer]]:
        guard = self.guard(engine, lambda: consumer.rejoin())
        consumer = self.consumer(engine, guard.verify)
        with running(guard), running(consumer):
            eventually(consumer.ready)
            yield guard, consumer

    def told(self) -> int:
        """Of how many records Kafka was told that they are stored."""
        return sum(committed_offsets(self.settings, self.group, self.topic).values())


@contextmanager
def running(component: Any) -> Iterator[None]:
    component.start()
    try:
        yield
    finally:
        component.stop()
