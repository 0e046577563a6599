"""Fold the log, and compare every row of the live generation with what comes of it.

It is one snapshot of the read store, so commands go on meanwhile. A partition is read up to where
the snapshot has come, and is all that is in memory; its history is compared as it is read, the
other tables when it has ended.
"""

import json
import logging
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from rollcall.projections.v1 import projections_pb2 as pb
from rollcall_events import PARTITIONS, KafkaSettings, Subscription, log_ends
from rollcall_events.partitioner import partition_of
from rollcall_events.reading import LogReader
from rollcall_events.topic import Topic, ensure_topic
from rollcall_service.operators import NotNow
from rollcall_user_management.projection.tables import Row
from rollcall_user_management.verification import tables
from rollcall_user_management.verification.folding import PartitionFold
from rollcall_user_management.verification.snapshot import Snapshot, snapshot
from rollcall_user_management.verification.tables import Unlike

log = logging.getLogger(__name__)

_FIRST, _LAST = -(2**63), 2**63 - 1  # of all offsets there can be
_KEYS = 1_000  # compared at a time
_ANSWER = 5.0  # seconds for Kafka to say what there is
_LONGEST = 100_000  # characters of a value; what is longer is cut


class AnotherLog(NotNow):
    """The read store was folded from another topic: there is nothing to compare."""


@dataclass
class Progress:
    """compared, records: as VerifyProgress has them. differences: found in this step."""

    compared: int
    records: int
    differences: list[pb.Difference] = field(default_factory=list)
    parked: int = 0


def verify(
    engine: Engine, settings: KafkaSettings, subscription: Subscription
) -> Generator[Progress | None, None, None]:
    """Step by step, each in a fraction of a second as far as Kafka and Postgres are well; None
    where nothing came of one. Raises TopicUnavailable, AnotherLog."""
    topic = ensure_topic(settings, subscription.topic, deadline=_ANSWER)
    began = time.monotonic()
    with ExitStack() as stack:
        found = stack.enter_context(snapshot(engine, subscription))
        if found.topic_ids and topic.id not in found.topic_ids:
            raise AnotherLog(
                f"the read store was folded from another topic than {topic.name} of id"
                f" {topic.id}: go back to that Kafka, or fill the read store anew"
            )
        reader = stack.enter_context(LogReader(settings, topic.name))
        ends = log_ends(settings, topic)
        run = _Verification(found, subscription, reader, topic, ends)
        yield from run.steps()
    told = {"records": run.compared, "differences": run.found, "parked": run.parked}
    log.info("verified", extra={**told, "seconds": round(time.monotonic() - began, 1)})


class _Verification:
    def __init__(
        self,
        snapshot_: Snapshot,
        subscription: Subscription,
        reader: LogReader,
        topic: Topic,
        log_ends_: Mapping[int, int],
    ):
        self.compared = self.found = self.parked = 0
        self._snapshot = snapshot_
        self._subscription = subscription
        self._reader = reader
        self._topic = topic
        self._ends = {p: self._end(p, log_ends_[p]) for p in range(PARTITIONS)}
        self._recorded_at: dict[int, datetime | None] = {}

    def _end(self, partition: int, log_end: int) -> int:
        """Where the fold has come. The history knows it as well as the offsets do, of which
        neither is trusted."""
        stored = self._snapshot.next_offsets.get(partition, 0)
        return min(max(stored, self._snapshot.last_in_history(partition, log_end) + 1), log_end)

    def steps(self) -> Iterator[Progress | None]:
        yield self._progress(())
        for partition in range(PARTITIONS):
            yield from self._partition(partition)
        yield self._progress(tables.offsets(self._connection, self._offsets()))
        elsewhere = f"partition NOT BETWEEN 0 AND {PARTITIONS - 1}"
        yield self._progress(tables.unexpected(self._connection, tables.HISTORY, elsewhere))
        known = self._snapshot.known_keys
        self._connection.exec_driver_sql(f"SET LOCAL enable_seqscan = on; ANALYZE {known}")
        for table in tables.BY_KEY:
            unknown = f"NOT EXISTS (SELECT FROM {known} k WHERE k.key = f.{table.key})"
            yield self._progress(tables.unexpected(self._connection, table, unknown))

    @property
    def _connection(self) -> Any:
        return self._snapshot.connection

    def _partition(self, partition: int) -> Iterator[Progress | None]:
        found = self._snapshot
        fold = PartitionFold(self._subscription, partition, found.failures, found.discarded)
        yield from self._history(partition, fold)
        self.parked += len(fold.held)
        keys = list(fold.inbox.keys() | fold.held.keys())
        for chunk in (keys[n : n + _KEYS] for n in range(0, len(keys), _KEYS)):
            found.note(chunk)
            for table, rows in _rows_of(fold, chunk):
                yield self._progress(tables.of_keys(self._connection, table, rows, chunk), fold)

    def _history(self, partition: int, fold: PartitionFold) -> Iterator[Progress | None]:
        first = _FIRST
        self._recorded_at[partition] = None
        for records in self._reader.read(partition, 0, self._ends[partition]):
            if not records:
                yield None
                continue
            rows, last = fold.take(records), records[-1]
            self.compared += len(records)
            unlike = tables.history(self._connection, rows, partition, first, last.offset)
            yield self._progress(unlike, fold)
            first, self._recorded_at[partition] = last.offset + 1, last.recorded_at
        yield self._progress(tables.history(self._connection, (), partition, first, _LAST), fold)

    def _offsets(self) -> list[Row]:
        return [
            (self._topic.name, partition, end, self._topic.id, self._recorded_at[partition])
            for partition, end in self._ends.items()
            if end or partition in self._snapshot.next_offsets
        ]

    def _progress(self, unlike: Iterable[Unlike], fold: PartitionFold | None = None) -> Progress:
        differences = [found for one in unlike for found in _differences(one, fold)]
        self.found += len(differences)
        return Progress(self.compared, sum(self._ends.values()), differences, self.parked)


def _rows_of(fold: PartitionFold, keys: list[str]) -> Iterator[tuple[tables.Table, Iterable[Row]]]:
    """What each table should have of some keys."""
    yield tables.USERS, fold.users(keys)
    yield tables.ROLES, fold.roles(keys)
    yield tables.USER_ROLES, fold.user_roles(keys)
    yield tables.ASSIGNMENTS, fold.assignments(keys)
    yield tables.INBOX, fold.inbox_rows(keys)
    yield tables.AGGREGATES, fold.aggregates(keys)


def _differences(unlike: Unlike, fold: PartitionFold | None) -> Iterator[pb.Difference]:
    """One for each column that differs, or for a row that is missing or too many."""
    key = unlike.row.get(unlike.table.key) or ""
    partition, offset = _place(unlike, key, fold)
    for column in unlike.columns or ("",):
        yield pb.Difference(
            table=unlike.table.name,
            key=key,
            partition=partition,
            offset=offset,
            column=column,
            expected=_value(unlike.expected, column),
            found=_value(unlike.found, column),
        )


def _place(unlike: Unlike, key: str, fold: PartitionFold | None) -> tuple[int, int]:
    """The event that the row should follow from: what the row itself says, else the newest of its
    key; -1 if the log knows neither."""
    row = unlike.row
    partition = row.get("partition", partition_of(key.encode(), PARTITIONS))
    of_row = (row.get(name) for name in ("offset", "since_offset", "last_offset", "next_offset"))
    newest = fold.newest(key) if fold and key else None
    return partition, next((o for o in (*of_row, newest) if o is not None), -1)


def _value(row: Mapping[str, Any] | None, column: str) -> str | None:
    if row is None:
        return None
    return json.dumps(row[column] if column else row, ensure_ascii=False)[:_LONGEST]
