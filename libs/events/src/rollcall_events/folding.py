"""What becomes of each record of a batch: applied, rejected, dropped as a copy, parked or held.

A pure function of the records and of what the store knows about them. A record that could not be
handled is parked, and whatever follows it with its key is held behind it; other keys go on.
"""

import traceback
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

from rollcall_events.codec import Malformed, RawRecord, UnknownType, decode
from rollcall_events.envelope import Event, Position
from rollcall_events.subscription import Rejection, Subscription
from rollcall_events.types import EVENT_TYPES, Lifecycle

_STACK = 8_192  # characters that are kept of a stack, from its end


@dataclass(frozen=True)
class Failure:
    """Why a record could not be handled. reason: free of what the record says. stack: the
    traceback, for whoever mends the code; empty where no code failed."""

    reason: str
    stack: str = ""

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        lines = "".join(traceback.format_exception(error)).replace("\0", "")
        return cls(type(error).__name__, lines[-_STACK:])


class HandlerFailed(Exception):
    """A handler raised, or the owner met a type that it does not know."""

    def __init__(self, record: RawRecord, failure: Failure):
        super().__init__(failure.reason)
        self.record = record
        self.failure = failure


@dataclass
class Outcome:
    """What a batch came to, in events; in records where it held none, and for those held."""

    applied: int = 0
    duplicates: int = 0
    rejected: int = 0
    skipped: int = 0
    parked: int = 0
    held: int = 0

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(**{k: v + getattr(other, k) for k, v in vars(self).items()})


class Life(NamedTuple):
    """What the log has made of a key: an aggregate of this collection, living or deleted."""

    collection: str
    live: bool


@dataclass(frozen=True)
class Known:
    """What the store says of a batch: the events it has seen, their aggregates' lives, the keys
    whose sequences are held, and the positions that were discarded, with why."""

    seen: set[tuple[str, str]]
    lives: dict[str, Life]
    held: AbstractSet[str]
    discarded: Mapping[tuple[int, int], str]


Decoded = Event | Rejection

# What an accepted event makes of its key.
_LIVES = {
    name: Life(type_.collection, type_.lifecycle is not Lifecycle.ENDS)
    for name, type_ in EVENT_TYPES.items()
}


@dataclass(frozen=True)
class Held:
    """A record that waits: for code that can handle it if it failed, else behind one that did."""

    record: RawRecord
    event: Event
    failure: Failure | None


@dataclass
class Folded:
    """events: to be handled, in order. seen, lives: what the store has to remember."""

    events: list[tuple[RawRecord, Event]] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    seen: dict[tuple[str, str], RawRecord] = field(default_factory=dict)
    lives: dict[str, Life] = field(default_factory=dict)


def decode_all(
    subscription: Subscription, records: Sequence[RawRecord], partitions: int, outcome: Outcome
) -> list[tuple[RawRecord, Decoded]]:
    """Each record that concerns the group, and what it is. Counts the others as skipped.

    Of a type that is unknown the owner of the topic gets the envelope."""
    decoded: list[tuple[RawRecord, Decoded]] = []
    for record in records:
        try:
            decoded.append((record, decode(record, partitions)))
        except Malformed as error:
            decoded.append((record, Rejection(record, str(error))))
        except UnknownType as error:
            if subscription.owner:
                decoded.append((record, error.event))
            else:
                outcome.skipped += 1
    return decoded


def fold(
    decoded: Sequence[tuple[RawRecord, Decoded]],
    known: Known,
    failures: Mapping[Position, Failure],
    outcome: Outcome,
) -> Folded:
    """What becomes of the records. failures: those that cannot be handled, as far as it is known.

    Raises HandlerFailed for one more, of a type that is unknown.
    """
    folding = _Folding(known, failures, outcome)
    for record, item in decoded:
        folding.take(record, item)
    return folding.folded


class _Folding:
    def __init__(self, known: Known, failures: Mapping[Position, Failure], outcome: Outcome):
        self.folded = Folded()
        self._discarded = known.discarded
        self._seen = known.seen
        self._held = set(known.held)
        self._lives = dict(known.lives)
        self._failures = failures
        self._outcome = outcome

    def take(self, record: RawRecord, item: Decoded) -> None:
        if isinstance(item, Rejection):
            self._reject(item)
        elif (item.key, item.id) in self._seen or (item.key, item.id) in self.folded.seen:
            self._outcome.duplicates += 1
        elif item.key in self._held:
            self.folded.held.append(Held(record, item, None))
            self._outcome.held += 1
        elif rejection := self._rejection(record, item):
            self._remember(record, item)
            self._reject(rejection)
        elif failure := self._failure(record, item):
            self._held.add(item.key)
            self.folded.held.append(Held(record, item, failure))
            self._outcome.parked += 1
        else:
            self._remember(record, item)
            self._accept(record, item)

    def _accept(self, record: RawRecord, event: Event) -> None:
        self._lives[event.key] = self.folded.lives[event.key] = _LIVES[event.type]
        self.folded.events.append((record, event))
        self._outcome.applied += 1

    def _reject(self, rejection: Rejection) -> None:
        self.folded.rejections.append(rejection)
        self._outcome.rejected += 1

    def _remember(self, record: RawRecord, event: Event) -> None:
        self.folded.seen[event.key, event.id] = record

    def _rejection(self, record: RawRecord, event: Event) -> Rejection | None:
        discarded = self._discarded.get((record.partition, record.offset))
        if discarded is not None:
            return Rejection(record, f"discarded: {discarded}", event)
        if event.type not in EVENT_TYPES:
            return None
        reason = _against_lifecycle(event, self._lives.get(event.key))
        return Rejection(record, reason, event) if reason else None

    def _failure(self, record: RawRecord, event: Event) -> Failure | None:
        failure = self._failures.get(record.position) if self._failures else None
        if failure is None and event.type not in EVENT_TYPES:
            raise HandlerFailed(record, Failure(str(UnknownType(event))))
        return failure


def _against_lifecycle(event: Event, life: Life | None) -> str | None:
    """Why an event cannot follow what its aggregate went through, or None."""
    type_ = EVENT_TYPES[event.type]
    noun = type_.collection.removesuffix("s")
    if life is not None and life.collection != type_.collection:
        return f"the id is not of a {noun}"
    if type_.lifecycle is Lifecycle.BEGINS:
        return None if life is None else f"the {noun} exists already, or did"
    if life is None:
        return f"no such {noun}"
    return None if life.live else f"the {noun} was deleted"
