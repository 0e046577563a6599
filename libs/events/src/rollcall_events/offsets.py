"""How far a group and the log have come, asked of Kafka. Every call has a deadline."""

import logging
from collections.abc import Iterable
from concurrent.futures import TimeoutError as FutureTimeoutError

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, by its docs
    AdminClient,
    OffsetSpec,
)

from rollcall_events.settings import KafkaSettings
from rollcall_events.topic import Topic, TopicUnavailable

log = logging.getLogger(__name__)

TIMEOUT = 5.0  # seconds for an answer


def committed_offsets(settings: KafkaSettings, group: str, topic: Topic) -> dict[int, int]:
    """The group's next offsets as far as Kafka was told; no entry for a partition of which it
    was told nothing. Does not join the group. Raises TopicUnavailable."""
    # A consumer, because an admin client does not wait for a coordinator that is being made.
    own = {"group.id": group, "enable.auto.commit": False, "log_level": 2}
    client = Client(settings.common() | own, logger=log)
    wanted = [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]
    try:
        places = client.committed(wanted, timeout=TIMEOUT)
        for place in places:
            if place.error is not None:
                raise KafkaException(place.error)
    except KafkaException as error:
        raise _unavailable(topic.name, error) from error
    finally:
        client.close()
    return {place.partition: place.offset for place in places if place.offset >= 0}


class LogEnds:
    """Asks where the log ends, by one client that is made when it is first needed: which offset the
    next record of a partition will get. What lies before it may not be readable yet: a transaction
    of Kafka's may be open."""

    def __init__(self, settings: KafkaSettings):
        self._settings = settings
        self._client: AdminClient | None = None

    def ask(self, topic: str, partitions: Iterable[int], within: float) -> dict[int, int]:
        """within: seconds. Raises TopicUnavailable."""
        if self._client is None:
            self._client = AdminClient(self._settings.common() | {"log_level": 2}, logger=log)
        self._client.poll(0)  # what it has to log
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = {TopicPartition(topic, partition): latest for partition in partitions}
        try:
            asked = self._client.list_offsets(wanted, request_timeout=within)
            return {
                place.partition: answer.result(within).offset for place, answer in asked.items()
            }
        except (KafkaException, FutureTimeoutError) as error:
            raise _unavailable(topic, error) from error


def log_ends(settings: KafkaSettings, topic: Topic) -> dict[int, int]:
    """The offset that the next record of each partition will get. Raises TopicUnavailable."""
    return LogEnds(settings).ask(topic.name, range(topic.partitions), TIMEOUT)


def _unavailable(topic: str, error: Exception) -> TopicUnavailable:
    reason = error.args[0].name() if isinstance(error, KafkaException) else "timed out"
    return TopicUnavailable(f"topic {topic}: {reason}")
