"""The events of the running platform's log, as documents."""

import argparse
from collections.abc import Iterator
from typing import Any

from google.protobuf.json_format import MessageToDict

from rollcall_cli import broker
from rollcall_events import EVENT_TYPES, Event, TopicUnavailable
from rollcall_events.codec import RawRecord, format_time
from rollcall_events.tail import tail
from rollcall_local.client import NotRunning
from rollcall_local.home import Home

TOPIC = "users"


def documents(home: Home, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What the options ask for, as it is appended. Raises NotRunning, PlatformError."""
    settings = broker.settings(home)
    try:
        for seen in tail(settings, TOPIC, since=options.since, follow=not options.no_follow):
            if seen is not None:
                document = _document(*seen)
                if _wanted(document, options):
                    yield document
    except TopicUnavailable as error:
        raise NotRunning(str(error)) from None


def _wanted(document: dict[str, Any], options: argparse.Namespace) -> bool:
    types = options.type or [document["type"]]
    named = document["type"] in types or (document["type"] or "").rpartition(".")[2] in types
    key = options.user in (None, document["key"])
    return named and key and options.actor in (None, document["actor"])


def _document(record: RawRecord, read: Event | str) -> dict[str, Any]:
    position = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    recorded_at = format_time(record.recorded_at)
    event = read if isinstance(read, Event) else None
    return {
        "position": position,
        "recorded_at": recorded_at,
        "unreadable": None if event else read,
        "id": event and event.id,
        "type": event and event.type,
        "key": event and event.key,
        "subject": event and f"{EVENT_TYPES[event.type].collection}/{event.key}",
        "source": event and event.source,
        "occurred_at": event and format_time(event.time),
        "sequence": event and event.sequence,
        "actor": event and event.actor,
        "correlation_id": event and event.correlation_id,
        "causation_id": event and event.causation_id,
        "data": event and MessageToDict(event.message, preserving_proto_field_name=True),
    }
