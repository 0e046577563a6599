"""Whether the log, the groups, the ledgers and what the providers took in agree."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from chaos import messages
from chaos.accepted import Accepted
from chaos.groups import NOTIFIERS, Group, Identity
from chaos.injecting import Injected
from faults import checker as commands
from faults.fold import Place, fold
from faults.log import Record
from faults.store import Store
from faults.told import Told

from rollcall_local.services import USERS


@dataclass(frozen=True)
class Evidence:
    """What is there when everything has come to rest.

    before, after: the groups before and after what was held was run again or discarded. accepted,
    refused: by the notifier whose provider it is. in_flight: messages in the hand of senders that
    were taken away, once for each time.
    """

    told: Sequence[Told]
    records: Sequence[Record]
    store: Store
    before: Mapping[str, Group]
    after: Mapping[str, Group]
    injected: Injected
    accepted: Mapping[str, Sequence[Accepted]]
    refused: Mapping[str, Sequence[str]]
    in_flight: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Verdict:
    """counts say what happened; wrongs must be empty."""

    counts: Mapping[str, int]
    wrongs: Mapping[str, Sequence[str]]

    @property
    def clean(self) -> bool:
        return not any(self.wrongs.values())


def check(evidence: Evidence) -> Verdict:
    injected = evidence.injected
    no_events = injected.malformed | set(injected.unknown.values())
    events = [r for r in evidence.records if (r.partition, r.offset) not in no_events]
    folded = fold(r for r in evidence.records if (r.partition, r.offset) not in injected.malformed)
    answers = commands.compare(evidence.told, folded, evidence.store)
    rejected = {place for place, e in evidence.store.history.items() if e.version is None}
    rejected |= set(evidence.store.undecodable)
    wrongs = {
        **{f"{name}: missing": missing(name, evidence) for name in evidence.after},
        f"{USERS}: out of order per key": out_of_order(
            (entry.key, place, entry.version)
            for place, entry in sorted(evidence.store.history.items())
            if entry.version is not None
        ),
        **{
            f"{name}: out of order per key": out_of_order(
                (d.key, d.place, position)
                for position, d in enumerate(evidence.after[name].deliveries)
            )
            for name in NOTIFIERS
        },
        "rejected, and not injected, or the other way round": different_places(
            rejected, no_events | injected.refused
        ),
        "parked, and not injected, or the other way round": [*wrongly_parked(evidence)],
        "still held after all": [
            f"{name}: {key}" for name, g in evidence.after.items() for key in g.roots
        ],
        **messages.wrongs(evidence, folded),
        **answers.wrongs,
    }
    counts = {
        "events": len({(r.key, r.id) for r in events}),
        "commands acknowledged": answers.acknowledged,
        "commands refused with 503": sum(t.status == 503 for t in evidence.told),
        "commands not answered in time": sum(t.status is None for t in evidence.told),
        "second copies dropped": folded.copies,
        "records rejected": len(rejected - set(injected.unknown.values())),
        "records injected to be rejected": len(injected.malformed | injected.refused),
        **{f"{name}: parked roots": len(g.roots) for name, g in evidence.before.items()},
        **{f"{name}: roots injected": len(roots_of(name, injected)) for name in evidence.before},
        **{
            f"{name}: held behind": len(g.held) - len(g.roots)
            for name, g in evidence.before.items()
        },
        **messages.counts(evidence),
    }
    return Verdict(counts, wrongs)


def missing(name: str, evidence: Evidence) -> list[str]:
    """Events of the log that a group neither went through nor holds, at either moment."""
    unknown = set(evidence.injected.unknown.values())
    skipped = evidence.injected.malformed | (unknown if name != USERS else set())
    events: set[Identity] = {
        (r.key, r.id) for r in evidence.records if (r.partition, r.offset) not in skipped
    }
    before, after = evidence.before[name], evidence.after[name]
    lost = (events - before.seen - before.held) | (events - after.seen - after.held)
    return [f"event {id_} of {key}" for key, id_ in sorted(lost)]


def out_of_order(passed: Iterable[tuple[str, Place, int]]) -> list[str]:
    """What a group made of events, key by key: the later place has the higher number."""
    by_key = defaultdict(list)
    for key, place, number in passed:
        by_key[key].append((place, number))
    return [
        f"{key}: {later} before {earlier}"
        for key, found in by_key.items()
        for (earlier, first), (later, second) in pairwise(sorted(found))
        if earlier != later and second <= first
    ]


def different_places(found: set[Place], expected: set[Place]) -> list[str]:
    return [
        *(f"{place} was rejected" for place in sorted(found - expected)),
        *(f"{place} was not rejected" for place in sorted(expected - found)),
    ]


def roots_of(name: str, injected: Injected) -> set[str]:
    """The users with an event that this group cannot handle."""
    return set(injected.unknown) if name == USERS else injected.unhandled


def wrongly_parked(evidence: Evidence) -> Iterator[str]:
    for name, group in evidence.before.items():
        expected = roots_of(name, evidence.injected)
        for key in group.roots.keys() ^ expected:
            yield f"{name}: {key} is {'not ' if key in expected else ''}parked"
