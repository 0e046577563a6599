"""What the KafkaUsers may do is enough for the services, and no more, on a real Kafka."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException
from manifests import secured_kafka
from manifests.rendered import build, of_kind
from manifests.secured_kafka import Secured

from rollcall.users.v1.events_pb2 import UserDeletedEvent
from rollcall_events import (
    KafkaSettings,
    Publisher,
    Topic,
    TopicUnavailable,
    committed_offsets,
    log_ends,
)
from rollcall_events.ids import uuid7
from rollcall_events.topic import ensure_topic
from rollcall_local.errors import Unavailable

CONSUMERS = ("user-management", "email-notification", "slack-notification")
WAIT = 30.0  # seconds


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    try:
        with secured_kafka.running(tmp_path_factory.mktemp("secured")) as secured:
            ensure_topic(secured.owner, "users")
            for user in of_kind(build("production"), "KafkaUser"):
                acls = user["spec"]["authorization"]["acls"]
                secured.provide(user["metadata"]["name"], acls)
            yield secured
    except Unavailable as error:
        pytest.skip(str(error))


def publish(settings: KafkaSettings) -> None:
    publisher = Publisher(settings, "users", "/services/user-management")
    publisher.start()
    try:
        publisher.publish(UserDeletedEvent(user_id=uuid7())).result(WAIT)
    finally:
        publisher.stop()


def consume(settings: KafkaSettings, group: str) -> None:
    """One record, and an offset. Raises KafkaException."""
    only_records = {"auto.offset.reset": "earliest", "enable.partition.eof": False}
    client = Consumer(settings.consumer(group) | only_records)
    try:
        client.subscribe(["users"])
        message = client.poll(WAIT)
        assert message is not None
        if error := message.error():
            raise KafkaException(error)
        client.commit(message=message, asynchronous=False)
    finally:
        client.close()


def topic(settings: KafkaSettings) -> Topic:
    return ensure_topic(settings, "users", deadline=WAIT)


def test_user_management_publishes_and_consumes_in_every_generation(kafka: Secured) -> None:
    settings = kafka.settings("user-management")
    publish(settings)
    for group in ("user-management", "user-management-g2"):
        consume(settings, group)
        assert committed_offsets(settings, group, topic(settings))
    assert sum(log_ends(settings, topic(settings)).values()) > 0


@pytest.mark.parametrize("service", CONSUMERS[1:])
def test_a_sender_consumes(kafka: Secured, service: str) -> None:
    publish(kafka.settings("user-management"))
    consume(kafka.settings(service), service)


def test_a_sender_publishes_nothing(kafka: Secured) -> None:
    publisher = Publisher(kafka.settings("email-notification"), "users", "/services/other")
    publisher.start()
    try:
        publisher.publish(UserDeletedEvent(user_id=uuid7()))
        assert publisher.failed.wait(WAIT)
    finally:
        publisher.stop()


def test_nobody_consumes_in_anothers_group(kafka: Secured) -> None:
    with pytest.raises(KafkaException) as refused:
        consume(kafka.settings("slack-notification"), "email-notification")
    assert refused.value.args[0].code() == KafkaError.GROUP_AUTHORIZATION_FAILED


def test_keda_sees_how_far_a_group_is(kafka: Secured) -> None:
    keda = kafka.settings("keda")
    for group in CONSUMERS[1:]:
        committed_offsets(keda, group, topic(keda))
    assert log_ends(keda, topic(keda))


def test_a_wrong_password_and_an_unknown_certificate_are_refused(kafka: Secured) -> None:
    right = kafka.settings("user-management")
    wrong = replace(right, security=replace(right.security, password="wrong"))
    unknown = replace(right, security=replace(right.security, ca_file=None))
    for settings in (wrong, unknown):
        with pytest.raises(TopicUnavailable, match="topic users"):
            ensure_topic(settings, "users", deadline=0)
