"""Publish and consume the domain events of Rollcall.

A publisher appends typed events to a topic. A consumer folds a topic into a Postgres schema of
its group, exactly once in effect. Neither asks its user to know Kafka.
"""

from rollcall_events import parking
from rollcall_events.codec import RawRecord
from rollcall_events.consumer import Consumer
from rollcall_events.envelope import Event, Position, Record, Recorded, UnpublishedEvent
from rollcall_events.offsets import committed_offsets, log_ends
from rollcall_events.pace import Pace
from rollcall_events.publisher import LogUnavailable, NotAcknowledged, Publisher
from rollcall_events.settings import DELIVERY_TIMEOUT, KafkaSettings
from rollcall_events.stored_offsets import Refused
from rollcall_events.subscription import Handler, Rejection, Statement, Subscription
from rollcall_events.topic import PARTITIONS, Topic, TopicUnavailable
from rollcall_events.types import EVENT_TYPES, EventType, Lifecycle

__all__ = [
    "DELIVERY_TIMEOUT",
    "EVENT_TYPES",
    "PARTITIONS",
    "Consumer",
    "Event",
    "EventType",
    "Handler",
    "KafkaSettings",
    "Lifecycle",
    "LogUnavailable",
    "NotAcknowledged",
    "Pace",
    "Position",
    "Publisher",
    "RawRecord",
    "Record",
    "Recorded",
    "Refused",
    "Rejection",
    "Statement",
    "Subscription",
    "Topic",
    "TopicUnavailable",
    "UnpublishedEvent",
    "committed_offsets",
    "log_ends",
    "parking",
]
