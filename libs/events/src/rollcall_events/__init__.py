"""Publish and consume the domain events of Rollcall.

A publisher appends typed events to a topic. A consumer folds a topic into a Postgres schema of
its group, exactly once in effect. Neither asks its user to know Kafka.
"""

from rollcall_events.consumer import Consumer
from rollcall_events.envelope import Event, Position, Record, Recorded, UnpublishedEvent
from rollcall_events.inbox import Handler, Rejection, Subscription
from rollcall_events.publisher import LogUnavailable, NotAcknowledged, Publisher
from rollcall_events.settings import KafkaSettings
from rollcall_events.types import EVENT_TYPES, EventType

__all__ = [
    "EVENT_TYPES",
    "Consumer",
    "Event",
    "EventType",
    "Handler",
    "KafkaSettings",
    "LogUnavailable",
    "NotAcknowledged",
    "Position",
    "Publisher",
    "Record",
    "Recorded",
    "Rejection",
    "Subscription",
    "UnpublishedEvent",
]
