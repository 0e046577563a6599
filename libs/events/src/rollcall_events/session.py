"""The Kafka side of consuming: one membership of the group, from joining to leaving.

Everything here runs on the one thread that owns the client. Callbacks never raise, because an
exception in one can lose a record that the client has already handed out; they note what went
wrong, and the session ends so that a new one begins from the stored offsets.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import cast

from confluent_kafka import OFFSET_END, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka import Consumer as Client
from sqlalchemy import Engine

from rollcall_events.codec import RawRecord
from rollcall_events.commits import Commits
from rollcall_events.lost import is_lost
from rollcall_events.settings import KafkaSettings
from rollcall_events.stored_offsets import Refused, load_offsets, move_over
from rollcall_events.topic import Topic
from rollcall_events.unfetched import Unfetched, fetched_next

log = logging.getLogger(__name__)

CLOSE_WITHIN = 5.0  # seconds; a client that waits for its coordinator to commit takes up to 45
_ENDS_WITHIN = 1.0  # seconds
_ASK_AGAIN = 30.0  # seconds, where not all ends were answered in time
COMMIT_INTERVAL = 0.5  # seconds; Kafka's committed offsets only serve lag metrics


class SessionOver(Exception):
    """The membership has to begin anew. `fatal`: the client is dead, and so is the process."""

    def __init__(self, reason: str, *, fatal: bool = False):
        super().__init__(reason)
        self.fatal = fatal


class Session:
    """positions: partition held → next offset. in_hand: fetched and not yet applied. marked_ends:
    partition → where its log ends, if a transaction's mark, or what was aborted, lies before that.
    verify: called with the topic between reading stored offsets and using them; what it raises ends
    the session. unfetched: of this group's sessions, one after the other."""

    def __init__(
        self,
        settings: KafkaSettings,
        group: str,
        topic: Topic,
        engine: Engine,
        verify: Callable[[Topic], None],
        unfetched: Unfetched,
    ):
        self.positions: dict[int, int] = {}
        self.in_hand: list[RawRecord] = []
        self.marked_ends: dict[int, int] = {}
        self._topic = topic
        self._engine = engine
        self._verify = verify
        self._trouble: Exception | None = None
        self._fetched: dict[int, int] = {}  # what is fetched next
        self._commits = Commits()
        self._committed_at = 0.0
        self._paused = False
        self._lost = False
        self._next: dict[int, int] = {}  # what the client fetches next, until it is looked at
        self._ends: dict[int, int] = {}  # as the broker answered last
        self._ask_after = 0.0  # of time.monotonic
        self._unfetched = unfetched
        unfetched.forget()
        callbacks = {
            "error_cb": self._on_error,
            "stats_cb": self._on_statistics,
            "on_commit": self._on_commit,
        }
        self._client = Client(settings.consumer(group) | callbacks, logger=log)
        self._client.subscribe(
            [topic.name],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def fetch(self, limit: int, wait: float) -> None:
        """Put up to `limit` records in hand, waiting `wait` seconds for the first.

        Raises SessionOver.
        """
        wanted = len(self.in_hand) + limit
        first = self._client.poll(wait)
        messages = [first] if first is not None else []
        while messages:  # some of which are no records
            self._raise_trouble()
            for message in messages:
                self._take(message)
            room = wanted - len(self.in_hand)
            messages = self._client.consume(room, 0) if room > 0 else []
        self._raise_trouble()

    def gather(self, limit: int, until: float) -> None:
        """Fetch on until a moment (of time.monotonic), or until `limit` records are in hand.

        Raises SessionOver.
        """
        while len(self.in_hand) < limit and (wait := until - time.monotonic()) > 0:
            messages = self._client.consume(limit - len(self.in_hand), wait)
            self._raise_trouble()
            for message in messages:
                self._take(message)

    def keep_place(self) -> None:
        """Fetch nothing more until `resume`, but tell the group that this member lives. What is in
        hand may be less afterwards. Raises SessionOver."""
        self._client.pause(self._held())
        self._paused = True
        self.fetch(1, 0)

    def resume(self) -> None:
        if self._paused:
            self._client.resume(self._held())
            self._paused = False
            self._unfetched.forget()

    def applied(self, records: Sequence[RawRecord]) -> None:
        """Note what is in the store for good; `commit_if_due` tells Kafka."""
        self.positions |= {record.partition: record.offset + 1 for record in records}
        self.marked_ends = {
            p: end for p, end in self.marked_ends.items() if end > self.positions[p]
        }

    def move_over_marks(self) -> None:
        """Once nothing is in hand, move the stored offsets over the marks behind them: whoever
        waits for the log's end waits for that. Raises StaleOwner, or the store's errors."""
        if self.marked_ends and not self.in_hand:
            move_over(self._engine, self._topic, self.positions, self.marked_ends)
            self.positions |= self.marked_ends
            self.marked_ends = {}

    def commit_if_due(self) -> None:
        if time.monotonic() - self._committed_at > COMMIT_INTERVAL:
            self.commit()

    def commit(self) -> None:
        """Tell Kafka the offsets of the partitions that are still held, without waiting. What it
        did not hear is told again."""
        self._committed_at = time.monotonic()
        due = self._commits.due(self.positions, self._committed_at)
        if due and not self._lost:
            places = [TopicPartition(self._topic.name, p, offset) for p, offset in due.items()]
            try:
                self._client.commit(offsets=places, asynchronous=True)
            except KafkaException as error:
                self._commits.refused(due)
                log.warning("offsets not committed", extra={"reason": error.args[0].name()})

    def look_for_more(self) -> None:
        """Every few seconds, ask the broker where the log ends. Raises SessionOver if it holds
        records that the client does not bring."""
        told, self._next = self._next, {}
        next_ = {p: max(told[p], fetched) for p, fetched in self._fetched.items() if p in told}
        if self._paused or not next_ or time.monotonic() < self._ask_after:
            return
        ends = self._readable_ends()
        self._ends |= ends
        if not next_.keys() <= ends.keys():
            self._ask_after = time.monotonic() + _ASK_AGAIN
        standing = self._unfetched.look(next_, ends, time.monotonic())
        if standing:
            raise SessionOver(f"the client does not bring what is in the log, of {standing}")

    def ends(self) -> dict[int, int]:
        """The log's end of each partition held, as last heard of. No network is used."""
        ends = {}
        for partition in list(self.positions):
            place = TopicPartition(self._topic.name, partition)
            _, high = self._client.get_watermark_offsets(place, cached=True)
            ends[partition] = max(high, self._ends.get(partition, 0))
        return ends

    def _readable_ends(self) -> dict[int, int]:
        """Up to where each partition held can be read, asked of the broker: an open transaction and
        all that follows it lie behind that. Nothing of those that do not answer in time."""
        places = [TopicPartition(self._topic.name, p, OFFSET_END) for p in self.positions]
        try:
            answered = self._client.offsets_for_times(places, timeout=_ENDS_WITHIN)
        except KafkaException as error:
            log.warning("no ends of the log", extra={"reason": error.args[0].name()})
            return {}
        return {place.partition: place.offset for place in answered if place.error is None}

    def close(self) -> None:
        """Leave the group. Raises SessionOver, fatal, if the client does not end in time: it may
        still be a member. One that is lost is none, and is left to end by itself."""
        self.commit()
        closing = threading.Thread(target=self._client.close, name="closing", daemon=True)
        closing.start()
        if self._lost:
            return
        closing.join(CLOSE_WITHIN)
        if closing.is_alive():
            raise SessionOver("the client does not close", fatal=True)

    def _held(self) -> list[TopicPartition]:
        return [TopicPartition(self._topic.name, p) for p in self.positions]

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is None:
            record = raw_record(message)
            # Nothing of what was revoked meanwhile, and nothing twice.
            expected = self._fetched.get(record.partition)
            if expected is not None and record.offset >= expected:
                self._fetched[record.partition] = record.offset + 1
                self.in_hand.append(record)
        elif error.code() == KafkaError._PARTITION_EOF:
            self._take_end(message.partition(), message.offset())
        elif is_fatal(error):
            raise SessionOver(error.name(), fatal=True)
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._check_in_log(message.partition())
        elif error.code() == KafkaError._MAX_POLL_EXCEEDED:
            raise SessionOver(error.name())
        else:
            log.warning("consumer error", extra={"reason": error.name()})

    def _take_end(self, partition: int | None, end: int | None) -> None:
        """The client has handed out all records of the partition before this offset."""
        if partition is None or end is None or (next_ := self._fetched.get(partition)) is None:
            return
        if end > next_:
            self._fetched[partition] = self.marked_ends[partition] = end

    def _check_in_log(self, partition: int | None) -> None:
        """Raise Refused if what is fetched next of the partition is not in the log. It may well be:
        where Kafka has chosen its leader anew, librdkafka may ask of an epoch before the last
        record's, and take the answer for a log that was cut. SessionOver then, and the next session
        asks of none."""
        if partition is None or (expected := self._fetched.get(partition)) is None:
            return
        place = TopicPartition(self._topic.name, partition)
        try:
            low, high = self._client.get_watermark_offsets(place, timeout=_ENDS_WITHIN)
        except KafkaException as error:
            raise SessionOver(f"the log cannot be looked at: {error.args[0].name()}") from error
        where = f"partition {partition} is {low} to {high}, and the stored offset is {expected}"
        if low <= expected <= high:
            raise SessionOver(f"an offset was doubted that is in the log: {where}")
        raise Refused(
            f"a stored offset is not in the log of {self._topic.name}: {where}. Restore that log,"
            " or empty this schema"
        )

    def _raise_trouble(self) -> None:
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            raise trouble

    def _on_assign(self, client: Client, places: list[TopicPartition]) -> None:
        try:
            stored = load_offsets(self._engine, self._topic, [p.partition for p in places])
            self._verify(self._topic)
            for place in places:
                place.offset = stored[place.partition]
            client.incremental_assign(places)
            # The client remembers that a partition was paused when it was last held.
            (client.pause if self._paused else client.resume)(places)
            self.positions |= stored
            self._fetched |= stored
        except Exception as error:  # noqa: BLE001  (a callback must not raise)
            self._trouble = error
        log.info("assigned", extra={"partitions": [p.partition for p in places]})

    def _on_revoke(self, client: Client, places: list[TopicPartition]) -> None:
        self.commit()
        self._on_lost(client, places)

    def _on_lost(self, client: Client, places: list[TopicPartition]) -> None:
        gone = {p.partition for p in places}
        self.in_hand = [r for r in self.in_hand if r.partition not in gone]
        for partition in gone:
            self.positions.pop(partition, None)
            self._fetched.pop(partition, None)
            self.marked_ends.pop(partition, None)
        self._commits.forget(gone)
        log.info("revoked", extra={"partitions": sorted(gone)})

    def _on_commit(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        for place in places:
            if error is not None or place.error is not None:
                self._commits.refused([place.partition])
            elif place.partition in self.positions:
                self._commits.acknowledged(place.partition, place.offset)

    def _on_error(self, error: KafkaError) -> None:
        if is_fatal(error):
            self._trouble = SessionOver(error.name(), fatal=True)
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            log.warning("no broker answers")

    def _on_statistics(self, statistics: str) -> None:
        try:
            said = json.loads(statistics)
            self._next = fetched_next(said, self._topic.name)
            if not self._next:
                self._unfetched.forget()
            if is_lost(said):
                self._lost = True
                self._trouble = SessionOver("the client has lost every broker")
        except Exception as error:  # noqa: BLE001  (a callback must not raise)
            self._trouble = error


def is_fatal(error: KafkaError) -> bool:
    """Whether the client is dead for good. An error that it hands out in a record's place says so
    by its code alone."""
    return error.fatal() or error.code() == KafkaError._FATAL


def raw_record(message: Message) -> RawRecord:
    try:
        headers = cast("list[tuple[str, bytes | None]] | None", message.headers() or [])
    except Exception:  # noqa: BLE001  (the client's word for a header name that is not UTF-8)
        headers = None
    return RawRecord(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        key=message.key(),
        value=message.value(),
        headers=headers,
        timestamp_ms=message.timestamp()[1],
    )
