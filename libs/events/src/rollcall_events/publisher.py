"""One producer per process; a publish resolves when the broker has acknowledged it."""

import contextlib
import json
import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from google.protobuf.message import Message as ProtobufMessage

from rollcall_events import tracing
from rollcall_events.codec import encode, moment_of
from rollcall_events.envelope import Position, Record, Recorded, UnpublishedEvent
from rollcall_events.ids import uuid7
from rollcall_events.lost import is_lost
from rollcall_events.metrics import Sent
from rollcall_events.settings import KafkaSettings
from rollcall_events.types import type_of

log = logging.getLogger(__name__)

STALLED_AFTER = 1.5  # seconds without an acknowledgement; a broker that is well needs milliseconds


class LogUnavailable(Exception):
    """Nothing was sent: the broker is known to be away, or the send queue is full."""


class NotAcknowledged(Exception):
    """The broker did not acknowledge in time. The event may or may not be in the log."""


def event_of(message: ProtobufMessage, source: str, **envelope: Any) -> UnpublishedEvent:
    """A new event of a message, now; `envelope` sets further fields of it."""
    type_ = type_of(message)
    fields: dict[str, Any] = {
        "id": envelope.get("id") or uuid7(),
        "type": type_.name,
        "key": getattr(message, type_.id_field),
        "source": source,
        "time": datetime.now(UTC),
        "message": message,
    }
    return UnpublishedEvent(**(fields | envelope))


class Publisher:
    """Appends events to one topic. Thread-safe; `start` before the first publish.

    `failed` is set when the client is dead for good and the process has to be replaced. One that
    is lost is replaced by itself.
    """

    def __init__(self, settings: KafkaSettings, topic: str, source: str):
        self.failed = threading.Event()
        self._settings = settings
        self.topic = topic
        self._source = source
        self._down = threading.Event()
        self._in_flight: dict[Future[Recorded], float] = {}  # sent when; the oldest comes first
        self._acknowledged_at = 0.0  # of time.monotonic, the last of all
        self._lock = threading.Lock()  # of what is in flight
        self._metrics = Sent(topic)
        self._stopping = threading.Event()
        self._lost = False
        self._sending = threading.Lock()  # by the producer of the moment
        self._producer = self._connect()
        self._thread = threading.Thread(target=self._poll, name="publisher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Wait a moment for what is in flight, then stop: the rest ends as not acknowledged."""
        _flush(self._producer, 2)
        with self._sending:
            self._stopping.set()
        self._thread.join(timeout=3)
        if not self._thread.is_alive():
            _close(self._producer)

    @property
    def available(self) -> bool:
        """False while no broker is known to answer, or an acknowledgement is long overdue and none
        has come since; turns true by itself when one comes, or what waits is given up. So one
        partition that takes nothing does not stop the others, while they are written to."""
        with self._lock:
            oldest = next(iter(self._in_flight.values()), None)
        if oldest is None:
            return not self._down.is_set()
        waited = time.monotonic() - max(oldest, self._acknowledged_at)
        return waited <= STALLED_AFTER and not self._down.is_set()

    def event(self, message: ProtobufMessage, **envelope: Any) -> UnpublishedEvent:
        """The event of a message, ready to publish; `envelope` sets further fields of it."""
        return event_of(message, self._source, **envelope)

    def publish(self, message: ProtobufMessage, **envelope: Any) -> Future[Recorded]:
        """Append one event; for services beside user-management, whose commands are admitted. Where
        its traceparent is sampled, the event carries that of its `send` span."""
        event = self.event(message, **envelope)
        span = tracing.sending(self.topic, event.traceparent, event.tracestate)
        if span is not None:
            event = replace(event, **tracing.carried(span)._asdict())
        return tracing.appending(span, event.id, lambda: self.append(self.record(event)))

    def record(self, event: UnpublishedEvent) -> Record:
        return encode(event, self.topic)

    def append(self, record: Record) -> Future[Recorded]:
        """Append a record. The future ends with its place, or raises NotAcknowledged.

        Raises LogUnavailable at once when nothing could be sent.
        """
        if not self.available:
            raise LogUnavailable("no broker answers")
        future: Future[Recorded] = Future()
        future.set_running_or_notify_cancel()  # what is on its way cannot be called back
        with self._lock:
            self._in_flight[future] = time.monotonic()
        try:
            with self._sending:
                if self._stopping.is_set():
                    raise LogUnavailable("the publisher has stopped")
                self._producer.produce(
                    record.topic,
                    key=record.key,
                    value=record.value,
                    headers=list(record.headers),
                    on_delivery=lambda error, message: self._delivered(future, error, message),
                )
        except BufferError:
            self._landed(future)
            raise LogUnavailable("the send queue is full") from None
        except KafkaException as error:
            self._landed(future)
            raise LogUnavailable(error.args[0].name()) from None
        except LogUnavailable:
            self._landed(future)
            raise
        return future

    def _delivered(
        self, future: Future[Recorded], error: KafkaError | None, message: Message
    ) -> None:
        self._landed(future)
        if error is None:
            self._acknowledged_at = time.monotonic()
            self._metrics.acknowledged()
        else:
            self._metrics.failed(error.name())
        resolve(future, error, message)

    def _landed(self, future: Future[Recorded]) -> None:
        with self._lock:
            self._in_flight.pop(future, None)

    def _poll(self) -> None:
        try:
            while not self._stopping.is_set():
                self._producer.poll(0.5)
                if self._lost:
                    self._replace()
                if self._down.is_set():
                    self._probe()
        except Exception:  # nothing would resolve any more: better replaced than silently deaf
            log.exception("the publisher ended")
            self.failed.set()

    def _connect(self) -> Producer:
        callbacks = {"error_cb": self._on_error, "stats_cb": self._on_statistics}
        return Producer(self._settings.producer() | callbacks, logger=log)

    def _replace(self) -> None:
        """Go on with a new client. What the lost one still has ends as not acknowledged."""
        log.warning("the producer has lost every broker, and is replaced")
        lost, fresh = self._producer, self._connect()
        with self._sending:
            self._producer = fresh
        _close(lost)
        self._lost = False

    def _on_statistics(self, statistics: str) -> None:
        self._lost = is_lost(json.loads(statistics))

    def _probe(self) -> None:
        try:
            self._producer.list_topics(self.topic, timeout=1)
        except KafkaException:
            self._stopping.wait(0.2)
        else:
            log.info("the broker answers again")
            self._down.clear()

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            log.critical("the producer is dead", extra={"reason": error.name()})
            self.failed.set()
        elif error.code() == KafkaError._ALL_BROKERS_DOWN and not self._down.is_set():
            log.warning("no broker answers")
            self._down.set()


def _close(producer: Producer) -> None:
    """What it has not sent, or heard of, ends as not acknowledged. A client that nobody polls, and
    nobody has closed, goes on collecting statistics."""
    producer.purge()
    _flush(producer, 1)  # calls back; nothing is sent any more
    producer.close()


def _flush(producer: Producer, seconds: float) -> None:
    with contextlib.suppress(KafkaException):  # of a dead one, which `_on_error` was told of
        producer.flush(seconds)


def resolve(future: Future[Recorded], error: KafkaError | None, message: Message) -> None:
    """End the future with what a delivery report tells."""
    offset = message.offset()
    if error is not None:
        future.set_exception(NotAcknowledged(error.name()))
    elif offset is None or offset < 0:
        # The client only concludes that it was written: a later batch of the partition was, or the
        # broker called it a duplicate. A broker that was killed may know neither.
        future.set_exception(NotAcknowledged("acknowledged without a place in the log"))
    else:
        position = Position(message.topic() or "", message.partition() or 0, offset)
        _, timestamp_ms = message.timestamp()
        future.set_result(Recorded(position, moment_of(timestamp_ms)))
