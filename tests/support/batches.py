"""What the stories of notification services share: events are handled in batches of any sizes."""

import itertools
from collections.abc import Sequence
from typing import Any, Protocol, cast

from hypothesis import strategies as st

from rollcall_events import Event, RawRecord, Subscription
from rollcall_events.folding import Folded
from rollcall_events.inbox import handle
from rollcall_events.postgres import Wire
from rollcall_events.tracing import Processing

_NO_RECORD = cast(RawRecord, None)  # only a handler that fails is told by its record


class Story(Protocol):
    """kept: all that the service has stored."""

    def forget(self) -> None: ...
    def batch(self, events: Sequence[Event]) -> None: ...
    def kept(self) -> list[Any]: ...


def handle_together(wire: Wire, subscription: Subscription, events: Sequence[Event]) -> None:
    """As one batch, in the transaction that the wire is in."""
    folded = Folded(events=[(_NO_RECORD, event) for event in events])
    processing = Processing(subscription.group)
    for statement, parameters in handle(wire, subscription, folded, processing):
        wire.send(statement, parameters)


def alone_and_in_batches(
    story: Story, events: Sequence[Event], data: st.DataObject
) -> tuple[list[Any], list[Any]]:
    """What is kept of the events handled one by one, and in batches of any sizes."""
    ends = sorted(data.draw(st.sets(st.integers(1, len(events) - 1))))
    return _kept(story, events, range(1, len(events))), _kept(story, events, ends)


def _kept(story: Story, events: Sequence[Event], ends: Sequence[int]) -> list[Any]:
    story.forget()
    for begin, end in itertools.pairwise([0, *ends, len(events)]):
        story.batch(events[begin:end])
    return story.kept()
