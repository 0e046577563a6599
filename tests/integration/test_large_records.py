"""A record may be larger than what the consumer fetches of a partition at a time."""

import random

from integration.test_consuming import consuming, names
from integration.test_consuming import publisher as publisher  # the fixtures
from integration.test_consuming import store as store
from integration.test_side_by_side import publish, together
from sqlalchemy import Engine
from support.waiting import eventually

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import KafkaSettings, Publisher

SIZE = 400_000  # bytes, that no compression makes much less


def test_it_comes_among_others(
    kafka_settings: KafkaSettings, store: Engine, topic: str, publisher: Publisher
) -> None:
    keys = publish(publisher)
    person = pb.Person(name="4")
    person.attributes.update({"noise": random.Random(1).randbytes(SIZE // 2).hex()})
    large = pb.UserUpdatedEvent(user_id=keys[0], person=person)
    assert large.ByteSize() > kafka_settings.consumer("")["max.partition.fetch.bytes"] * 2
    together(publisher, [large])
    together(publisher, [pb.UserUpdatedEvent(user_id=k, person=pb.Person(name="5")) for k in keys])
    with consuming(kafka_settings, store, topic):
        eventually(lambda: names(store, keys[0]) == list("012345"))
        eventually(lambda: all(names(store, key)[-1:] == ["5"] for key in keys[::40]))
