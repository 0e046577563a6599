"""The topic of a bounded context: made once, and recognised afterwards by Kafka's own id."""

import logging
import time
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from rollcall_events.settings import KafkaSettings

log = logging.getLogger(__name__)

PARTITIONS = 50  # never changed: the key's partition would move
_CONFIG = {"retention.ms": "-1", "message.timestamp.type": "LogAppendTime"}


class TopicUnavailable(Exception):
    """No broker answered in time, or the topic is not as it has to be."""


@dataclass(frozen=True)
class Topic:
    name: str
    id: str  # Kafka's own: a topic made anew under the same name has another
    partitions: int
    cluster_id: str


def ensure_topic(settings: KafkaSettings, name: str, *, deadline: float = 60) -> Topic:
    """The topic, made if it does not exist. Waits up to `deadline` seconds for a broker."""
    admin = AdminClient(settings.common() | {"log_level": 2}, logger=log)
    end = time.monotonic() + deadline
    while True:
        try:
            _create(admin, name)
            return _describe(admin, name)
        except KafkaException as error:
            if time.monotonic() > end:
                raise TopicUnavailable(f"topic {name}: {error.args[0].name()}") from error
            admin.poll(0.2)


def _create(admin: AdminClient, name: str) -> None:
    if name in admin.list_topics(timeout=2).topics:
        return
    replicas = min(3, len(admin.list_topics(timeout=2).brokers))
    config = _CONFIG | ({"min.insync.replicas": "2"} if replicas == 3 else {})
    new = NewTopic(name, num_partitions=PARTITIONS, replication_factor=replicas, config=config)
    try:
        admin.create_topics([new], operation_timeout=5, request_timeout=8)[name].result(10)
        log.info("topic made", extra={"topic": name, "partitions": PARTITIONS})
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def _describe(admin: AdminClient, name: str) -> Topic:
    described = admin.describe_topics(TopicCollection([name]), request_timeout=5)[name].result(10)
    partitions = len(described.partitions)
    if partitions != PARTITIONS:
        raise TopicUnavailable(f"topic {name} has {partitions} partitions, not {PARTITIONS}")
    cluster_id = admin.list_topics(name, timeout=5).cluster_id
    return Topic(name, str(described.topic_id), partitions, str(cluster_id))
