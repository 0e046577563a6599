"""A correct user as a program: histories that must be accepted, and a search that decides any."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from races.history import ABSENT, DELETED, Kind, Operation

Values = tuple[str, ...]  # one for each version from 0 on


@dataclass
class _Pending:
    operation: Operation
    answer: Operation | None = None  # what its client will be told; None: not done yet


class Simulation:
    """Clients of one user, whose every step may fall between any two of the others'."""

    def __init__(self, rng: random.Random, clients: int, losses: bool):
        self._rng = rng
        self._losses = losses  # answers may be lost, and commands take effect late or never
        self._values: Values = (ABSENT,)
        self._now = 0
        self._asked = 0
        self._pending: dict[str, _Pending] = {}
        self._known = dict.fromkeys((f"client {n}" for n in range(clients)), 0)
        self._late: list[Operation] = []
        self._done: list[Operation] = []

    def run(self, steps: int) -> list[Operation]:
        for _ in range(steps):
            self._step(self._rng.choice(list(self._known)))
        while self._pending:
            self._step(self._rng.choice(list(self._pending)))
        return self._done

    def _step(self, client: str) -> None:
        self._now += self._rng.random() < 0.8  # some things happen at one moment
        if self._late and self._rng.random() < 0.3:
            self._apply(self._late.pop(self._rng.randrange(len(self._late))))
        pending = self._pending.get(client)
        if pending is None:
            self._pending[client] = _Pending(self._ask(client))
        elif self._losses and self._rng.random() < 0.15:
            self._lose(self._pending.pop(client))
        elif pending.answer is None:
            pending.answer = self._apply(pending.operation)
        else:
            answer = replace(pending.answer, responded=float(self._now))
            self._done.append(answer)
            self._known[client] = answer.version or self._known[client]
            del self._pending[client]

    def _lose(self, pending: _Pending) -> None:
        self._done.append(replace(pending.operation, responded=None))
        if pending.answer is None:
            self._late.append(pending.operation)

    def _ask(self, client: str) -> Operation:
        weights = {Kind.PATCH: 6, Kind.GET: 3, Kind.DELETE: 0.3}
        if not any(o.kind is Kind.CREATE for o in self._everything()):
            weights = {Kind.CREATE: 1, Kind.PATCH: 0.2}
        (kind,) = self._rng.choices(list(weights), list(weights.values()))
        operation = Operation(client, kind, "u", float(self._now), None)
        known = self._known[client]
        if kind is Kind.GET:
            return replace(operation, token_version=self._rng.choice([0, known]))
        if kind is not Kind.CREATE and self._rng.random() < 0.5:
            operation = replace(operation, if_match=self._rng.choice([known, len(self._values)]))
        return operation if kind is Kind.DELETE else replace(operation, asked=self._value(kind))

    def _value(self, kind: Kind) -> str | None:
        if kind is Kind.PATCH and self._rng.random() < 0.2:
            return self._rng.choice([None, f"value {self._asked}"])  # may change nothing
        self._asked += 1
        return f"value {self._asked}"

    def _everything(self) -> list[Operation]:
        return [*self._done, *self._late, *(p.operation for p in self._pending.values())]

    def _apply(self, operation: Operation) -> Operation:
        outcomes = list(_outcomes(operation, self._values))
        if operation.kind is Kind.GET:
            answer, self._values = self._rng.choice(outcomes)
        else:
            answer, self._values = outcomes[-1]  # where nothing changes no version is taken
        return answer


def _outcomes(o: Operation, values: Values) -> Iterator[tuple[Operation, Values]]:
    """The answers that are right in a state, and the state afterwards."""
    version, value = len(values) - 1, values[-1]
    if o.kind is Kind.GET:
        for seen in range(o.token_version, version + 1):
            yield _shown(o, seen, values[seen]), values
    elif o.kind is Kind.CREATE:
        if version == 0:
            yield from _written(o, values)
    elif value in (ABSENT, DELETED):
        yield replace(o, status=404, deleted=value == DELETED), values
    elif o.if_match is not None and o.if_match != version:
        yield replace(o, status=412, version=version), values
    else:
        if o.kind is Kind.DELETE or o.asked is not None:
            yield from _written(o, values)
        if o.kind is Kind.PATCH and o.asked in (None, value):
            yield replace(o, status=200, version=version, seen=value), values


def _shown(o: Operation, version: int, value: str) -> Operation:
    if value in (ABSENT, DELETED):
        return replace(o, status=404, deleted=value == DELETED)
    return replace(o, status=200, version=version, seen=value)


def _written(o: Operation, values: Values) -> Iterator[tuple[Operation, Values]]:
    status = {Kind.CREATE: 201, Kind.PATCH: 200, Kind.DELETE: 204}[o.kind]
    value = o.asked if o.asked is not None else DELETED
    yield replace(o, status=status, version=len(values), seen=o.asked), (*values, value)


def linearizable(history: Sequence[Operation], values: Values = (ABSENT,)) -> bool:
    """Whether any order explains the answers: by trying them all, so for short histories only."""
    answered = [o for o in history if o.responded is not None]
    if not answered:
        return True
    end = min(o.responded for o in answered if o.responded is not None)
    return any(
        linearizable([o for o in history if o is not first], after)
        for first in history
        if first.invoked <= end
        for answer, after in _outcomes(first, values)
        if first.responded is None or _agree(first, answer)
    )


def _agree(told: Operation, answer: Operation) -> bool:
    """A 412 need not tell the version."""
    if told.status == 412 and told.version is None:
        return answer.status == 412
    return told == answer
