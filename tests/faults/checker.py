"""Whether what the clients were told, the log, and the read store agree."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from faults.fold import Entry, Folded, Holding, fold
from faults.log import Record
from faults.store import Store
from faults.told import Told

EXPECTED = {200, 201, 204, 404, 409, 412, 503}  # what these commands may be answered with


@dataclass(frozen=True)
class Verdict:
    """The counts say what happened; everything else must be empty.

    acknowledged: commands with a 2xx. unchanged: those of them that rightly changed nothing and
    have no event. in_log: those whose event is in the log with the version that was told.
    copies: second copies dropped.
    """

    acknowledged: int
    unchanged: int
    in_log: int
    copies: int
    wrongs: Mapping[str, Sequence[str]]

    @property
    def clean(self) -> bool:
        return not any(self.wrongs.values())


def check(told: Sequence[Told], records: Iterable[Record], store: Store) -> Verdict:
    """Nobody but the services publishes here, so every rejection is of an admitted event."""
    folded = fold(records)
    verdict = compare(told, folded, store)
    return replace(
        verdict, wrongs={**verdict.wrongs, "rejected admissions": _rejected(folded, store)}
    )


def compare(told: Sequence[Told], folded: Folded, store: Store) -> Verdict:
    """What must hold whoever else publishes, of keys that the commands are not about."""
    acknowledged = [t for t in told if t.acknowledged]
    unchanged = [t for t in acknowledged if _rightly_unchanged(t, folded)]
    lost = [t for t in acknowledged if not _in_log(t, folded) and t not in unchanged]
    return Verdict(
        acknowledged=len(acknowledged),
        unchanged=len(unchanged),
        in_log=len(acknowledged) - len(unchanged) - len(lost),
        copies=folded.copies,
        wrongs={
            "acknowledged, and not in the log as told": [_line(t) for t in lost],
            "version gaps": folded.gaps,
            "versions told twice": told_twice(acknowledged, folded),
            "double claims": double_claims(folded.holdings),
            "differences between read store and fold": [*differences(folded, store)],
            "commands with a second event": _repeated(folded),
            "refused, and in the log": [
                _line(t) for t in told if t.refused and t.correlation in folded.by_command
            ],
            "refused a value that is free": [
                _line(t) for t in told if t.free and t.status == 409 and t.refused
            ],
            "unexpected answers": [
                _line(t) for t in told if t.status is not None and t.status not in EXPECTED
            ],
        },
    )


def told_twice(acknowledged: Iterable[Told], folded: Folded) -> list[str]:
    """A version of an aggregate that more than one command was told to have made."""
    made = Counter(
        (t.target, t.version)
        for t in acknowledged
        if not t.may_change_nothing or t.correlation in folded.by_command
    )
    return [f"{key}: {version}, {n} times" for (key, version), n in made.items() if n > 1]


def double_claims(holdings: Iterable[Holding]) -> list[str]:
    """Two aggregates with one value at a time.

    A value can be admitted to another only after the projection has passed the event that gave
    it up, so the broker's times of the two can be equal but never the other way round, in
    whatever order partitions are read.
    """
    by_value = defaultdict(list)
    for holding in holdings:
        by_value[holding.value].append(holding)
    return [
        f"{value}: {second.key} has it before {first.key} gave it up"
        for value, held in by_value.items()
        for first, second in pairwise(sorted(held, key=_order))
        if first.key != second.key and (first.until is None or second.since < first.until)
    ]


def _order(holding: Holding) -> tuple[int, bool, int]:
    """By beginning; of those that begin together, what ends first."""
    return holding.since, holding.until is None, holding.until or 0


def differences(folded: Folded, store: Store) -> Iterator[str]:
    for table, rows in folded.rows.items():
        yield from _differing(table, rows, store.rows[table])
    yield from _differing("user_roles", folded.assigned, store.assigned)
    yield from _differing("history", folded.history, store.history)


def _differing(table: str, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> Iterator[str]:
    for key in expected.keys() | found.keys():
        ours, theirs = expected.get(key), found.get(key)
        if ours == theirs:
            continue
        if isinstance(ours, dict) and isinstance(theirs, dict):
            columns = {c for c in ours.keys() | theirs.keys() if ours.get(c) != theirs.get(c)}
            yield f"{table} {key}: {sorted(columns)}"
        else:
            yield f"{table} {key}: {theirs} for {ours}"


def _rejected(folded: Folded, store: Store) -> list[str]:
    stored = [f"at {place}: {e.type}" for place, e in store.history.items() if e.version is None]
    return [*folded.rejected, *stored, *(f"undecodable at {p}" for p in store.undecodable)]


def _repeated(folded: Folded) -> list[str]:
    return [f"{c}: {len(e)} events" for c, e in folded.by_command.items() if len(e) > 1]


def _in_log(told: Told, folded: Folded) -> bool:
    events: Sequence[Entry] = folded.by_command.get(told.correlation, ())
    return any((e.key, e.version) == (told.target, told.version) for e in events)


def _rightly_unchanged(told: Told, folded: Folded) -> bool:
    """A role that was held already, or not held, at the version that was told."""
    if not told.may_change_nothing or told.correlation in folded.by_command:
        return False
    versions = folded.roles_of.get(told.target, [])
    if not 1 <= told.version <= len(versions):
        return False
    return (told.role in versions[told.version - 1]) == (told.action == "assign")


def _line(told: Told) -> str:
    answer = f"{told.status} {told.problem}".strip()
    return f"{told.correlation}: {told.action} {told.target} → {answer}, version {told.version}"
