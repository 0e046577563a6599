"""An import: events whose ids follow from what they are about, so that repeating one, whole or
from where it broke off, does nothing twice: every group drops an event that it has seen."""

from dataclasses import dataclass

from google.protobuf.message import Message

from rollcall_events import UnpublishedEvent
from rollcall_events.envelope import IMPORTS
from rollcall_events.ids import derived_uuid7
from rollcall_events.publisher import event_of

_MOMENT = 1_767_225_600_000  # milliseconds; 2026-01-01: all ids of imports are as if made then


@dataclass(frozen=True)
class Import:
    label: str

    @property
    def source(self) -> str:
        return IMPORTS + self.label

    def id(self, *parts: str) -> str:
        """The same for the same label and parts; a UUIDv7."""
        return derived_uuid7(_MOMENT, self.label, *parts)

    def event(self, message: Message, *parts: str) -> UnpublishedEvent:
        """The event of a message. parts: what tells it from the others about its aggregate."""
        event_id = self.id(type(message).__name__, *parts)
        return event_of(message, self.source, id=event_id)
