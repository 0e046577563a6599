"""Partitions of a topic, read from one offset to another without a group: for those who compare."""

import logging
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from rollcall_events.codec import RawRecord
from rollcall_events.session import is_fatal, raw_record
from rollcall_events.settings import KafkaSettings
from rollcall_events.topic import TopicUnavailable

log = logging.getLogger(__name__)

BATCH = 1_000  # records
_POLL = 0.2  # seconds

# The next partition has to wait until the fetch of the one before is answered.
_OWN = {
    "group.id": "rollcall-reader",  # which the client wants, and nothing joins
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
    "fetch.wait.max.ms": 10,
    "fetch.queue.backoff.ms": 20,
    "queued.min.messages": 10_000,
    "queued.max.messages.kbytes": 16_384,
    "log_level": 2,
}


class LogReader:
    """One client for one partition after the other. Used by one thread, and closed by it.

    patience: seconds without a record, after which Kafka is away."""

    def __init__(self, settings: KafkaSettings, topic: str, *, patience: float = 10.0):
        self._topic = topic
        self._patience = patience
        self._client = Client(settings.common() | _OWN, logger=log)

    def read(self, partition: int, start: int, end: int) -> Iterator[Sequence[RawRecord]]:
        """The records of the partition from offset `start` to before `end`, in batches; an empty
        one when nothing has come for a moment, so that the caller may end. Where the log ends
        before `end`, so do they.

        Raises TopicUnavailable if nothing comes for too long, or the log begins after `start`.
        """
        heard = time.monotonic()
        self._client.assign([TopicPartition(self._topic, partition, start)])
        while start < end:
            fetched, ended = self._batch(partition, start, min(BATCH, end - start))
            records = [r for r in fetched if r.offset < end]
            ended |= len(records) < len(fetched)  # before `end` there may be what is no record
            if records:
                heard, start = time.monotonic(), records[-1].offset + 1
            elif not ended and time.monotonic() - heard > self._patience:
                raise TopicUnavailable(
                    f"topic {self._topic}: no broker has answered for {self._patience:.0f} s, with"
                    f" partition {partition} read up to offset {start}; is Kafka well?"
                )
            yield records
            if ended:
                return

    def _batch(self, partition: int, start: int, most: int) -> tuple[list[RawRecord], bool]:
        """Up to so many records from `start` on, and whether the log ends behind them."""
        try:
            messages = self._client.consume(most, _POLL)
        except KafkaException as error:
            raise self._unavailable(partition, start, error.args[0]) from error
        ended = any(self._ends(message, partition, start) for message in messages)
        of_it = [m for m in messages if m.error() is None and m.partition() == partition]
        return [r for r in map(raw_record, of_it) if r.offset >= start], ended

    def _ends(self, message: Message, partition: int, start: int) -> bool:
        error = message.error()
        if error is None or message.partition() not in (partition, None):
            return False
        if is_fatal(error) or error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise self._unavailable(partition, start, error)
        return error.code() == KafkaError._PARTITION_EOF

    def _unavailable(self, partition: int, start: int, error: KafkaError) -> TopicUnavailable:
        where = f"partition {partition} at offset {start}"
        return TopicUnavailable(f"topic {self._topic}: {where}: {error.name()}")

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> "LogReader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
