"""Events as files: the forms in which an export is written."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from rollcall_gateway.history import Event

CSV = "text/csv"
NDJSON = "application/x-ndjson"

# What a spreadsheet takes for the beginning of a formula, or for white space before one.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

_COLUMNS = (
    "id", "type", "version", "recorded_at", "occurred_at", "actor", "actor_name",
    "correlation_id", "causation_id", "subject", "rejected", "changes",
    "topic", "partition", "offset",
)  # fmt: skip

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True)
class Form:
    content_type: str
    file: str  # the name that a browser saves it under
    head: bytes  # what comes before the first event
    encode: Callable[[Sequence[Event]], bytes]


def _lines(rows: Sequence[Sequence[object]]) -> bytes:
    """RFC 4180."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _csv(events: Sequence[Event]) -> bytes:
    return _lines([_row(event) for event in events])


def _row(event: Event) -> Sequence[object]:
    actor, position = event.actor, event.position
    return (
        _cell(event.id),
        _cell(event.type),
        event.version,
        event.recorded_at,
        event.occurred_at,
        _cell(actor.id if actor else None),
        _cell(actor.name if actor else None),
        _cell(event.correlation_id),
        _cell(event.causation_id),
        _cell(event.subject),
        _cell(event.rejected),
        _ENCODER.encode(event.changes).decode(),  # begins with [
        position.topic,
        position.partition,
        position.offset,
    )


def _cell(text: str | None) -> str | None:
    """The text, with an apostrophe before what a spreadsheet would calculate."""
    return f"'{text}" if text and text.startswith(_FORMULA) else text


FORMS = {
    CSV: Form(
        content_type="text/csv; charset=utf-8; header=present",
        file="rollcall-events.csv",
        head=_lines([_COLUMNS]),
        encode=_csv,
    ),
    NDJSON: Form(
        content_type=NDJSON,
        file="rollcall-events.ndjson",
        head=b"",
        encode=_ENCODER.encode_lines,
    ),
}
