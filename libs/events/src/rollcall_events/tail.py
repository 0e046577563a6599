"""A topic as it goes by, read without a group: for people who look, not for services."""

import logging
from collections.abc import Iterator
from datetime import datetime

from confluent_kafka import OFFSET_END, KafkaException, TopicPartition
from confluent_kafka import Consumer as Client

from rollcall_events.codec import Malformed, RawRecord, UnknownType, decode
from rollcall_events.envelope import Event
from rollcall_events.session import raw_record
from rollcall_events.settings import KafkaSettings
from rollcall_events.topic import PARTITIONS, TopicUnavailable

log = logging.getLogger(__name__)

_TIMEOUT = 5.0  # seconds for an answer
_POLL = 0.2  # seconds
_BATCH = 500

# A record and what it says; or why it is none of the topic's events.
Seen = tuple[RawRecord, Event | str]


def tail(
    settings: KafkaSettings, topic: str, *, since: datetime | None = None, follow: bool = True
) -> Iterator[Seen | None]:
    """What was recorded at `since` or later, or what comes from now on, in partition order.

    Yields None when nothing has come for a moment, so that the caller may end. Without `follow` it
    ends at the log's end as it is now. Raises TopicUnavailable.
    """
    own = {"group.id": "rollcall-tail", "enable.auto.commit": False, "log_level": 2}
    client = Client(settings.common() | own, logger=log)
    try:
        starts = _starts(client, topic, since)
        left = {} if follow else _left(client, topic, starts)
        client.assign(starts)
        while follow or left:
            for message in client.consume(_BATCH, _POLL):
                if message.error() is None:
                    record = raw_record(message)
                    yield record, _read(record)
                    if left.get(record.partition, record.offset + 2) <= record.offset + 1:
                        del left[record.partition]
            yield None
    except KafkaException as error:
        raise TopicUnavailable(f"topic {topic}: {error.args[0].name()}") from error
    finally:
        client.close()


def _starts(client: Client, topic: str, since: datetime | None) -> list[TopicPartition]:
    if since is None:
        return [TopicPartition(topic, p, OFFSET_END) for p in range(PARTITIONS)]
    moment = int(since.timestamp() * 1_000)
    asked = [TopicPartition(topic, p, moment) for p in range(PARTITIONS)]
    found = client.offsets_for_times(asked, timeout=_TIMEOUT)
    for place in found:
        if place.error is not None:
            raise KafkaException(place.error)
    return found


def _left(client: Client, topic: str, starts: list[TopicPartition]) -> dict[int, int]:
    """The ends of the partitions that there is something to read of."""
    ends = {}
    for start in starts:
        place = TopicPartition(topic, start.partition)
        _, end = client.get_watermark_offsets(place, timeout=_TIMEOUT)
        if 0 <= start.offset < end:
            ends[start.partition] = end
    return ends


def _read(record: RawRecord) -> Event | str:
    try:
        return decode(record, PARTITIONS)
    except (Malformed, UnknownType) as error:
        return str(error)
