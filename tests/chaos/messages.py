"""Whether every message that is owed came to its end, how often it was taken in, and in order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from chaos.groups import NOTIFIERS, Delivery
from faults.fold import Folded

from rollcall_local.services import MAIL, SLACK

if TYPE_CHECKING:
    from chaos.checker import Evidence

# What each event owes at least: to the user, and to the channel that hears everything.
OWED: Mapping[str, Mapping[str, str]] = {
    MAIL: {
        "UserCreatedEvent": "welcome",
        "UserUpdatedEvent": "profile_changed",
        "UserDeletedEvent": "farewell",
        "RoleAssignedToUserEvent": "role_granted",
        "RoleUnassignedFromUserEvent": "role_revoked",
    },
    SLACK: {
        "UserCreatedEvent": "user_created",
        "UserUpdatedEvent": "user_updated",
        "UserDeletedEvent": "user_deleted",
        "RoleAssignedToUserEvent": "role_assigned",
        "RoleUnassignedFromUserEvent": "role_unassigned",
        "RoleCreatedEvent": "role_created",
        "RoleUpdatedEvent": "role_updated",
        "RoleDeletedEvent": "role_deleted",
    },
}


def counts(evidence: Evidence) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in NOTIFIERS:
        rows, accepted = evidence.after[name].deliveries, evidence.accepted[name]
        found |= {
            f"{name}: messages owed": len(rows),
            f"{name}: sent": sum(row.state == "sent" for row in rows),
            f"{name}: refused for good": sum(row.state == "failed" for row in rows),
            f"{name}: repeated": len(accepted) - len({a.message for a in accepted}),
            f"{name}: accepted, and the answer lost": sum(not a.told for a in accepted),
            f"{name}: in flight when a sender went": sum(
                evidence.in_flight[row.message] for row in rows
            ),
        }
    return found


def wrongs(evidence: Evidence, folded: Folded) -> dict[str, Sequence[str]]:
    found: dict[str, Sequence[str]] = {}
    for name in NOTIFIERS:
        rows = evidence.after[name].deliveries
        found |= {
            f"{name}: messages missing": [
                *_not_owed(name, rows, folded),
                *_without_end(rows, evidence, name),
            ],
            f"{name}: messages that nobody owes": sorted(
                {a.message for a in evidence.accepted[name]} - {row.message for row in rows}
            ),
            f"{name}: repeated without a reason": [*_repeated(evidence, name)],
            f"{name}: out of order per recipient": [*_out_of_order(rows, evidence, name)],
        }
    return found


def _not_owed(name: str, rows: Sequence[Delivery], folded: Folded) -> Iterator[str]:
    """Events that have no row in the ledger."""
    owed = {(row.place, row.kind) for row in rows}
    for place, entry in folded.history.items():
        kind = OWED[name].get(entry.type)
        if kind and entry.version is not None and (place, kind) not in owed:
            yield f"nothing is owed for {entry.type} at {place}"


def _without_end(rows: Sequence[Delivery], evidence: Evidence, name: str) -> Iterator[str]:
    """Rows that are not at their end, or not as their provider has it."""
    has = {
        "sent": {a.message for a in evidence.accepted[name]},
        "failed": set(evidence.refused[name]),
    }
    for row in rows:
        if row.message not in has.get(row.state, ()):
            yield f"delivery {row.id} is {row.state}"


def _repeated(evidence: Evidence, name: str) -> Iterator[str]:
    """Messages that were taken in more often than lost answers and lost senders account for."""
    times = Counter(a.message for a in evidence.accepted[name])
    unheard = Counter(a.message for a in evidence.accepted[name] if not a.told)
    for message, number in times.items():
        if number - 1 > unheard[message] + evidence.in_flight[message]:
            yield f"{message}: {number} times"


def _out_of_order(rows: Sequence[Delivery], evidence: Evidence, name: str) -> Iterator[str]:
    """Recipients who first got a message before an earlier one about the same user or role. Two
    replicas handle events of different keys at the same time, and neither is the earlier one."""
    first: dict[str, int] = {}
    for number, accepted in enumerate(evidence.accepted[name]):
        first.setdefault(accepted.message, number)
    sequences = defaultdict(list)
    for row in rows:
        if row.message in first:
            sequences[row.recipient, row.key].append(row)
    for sequence in sequences.values():
        for earlier, later in pairwise(sequence):
            if first[later.message] < first[earlier.message]:
                yield f"delivery {later.id} before {earlier.id}"
