"""Random questions about a history, answered by what is examined and by the model."""

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from history.generator import EMAILS, NAMES, ROLE_NAMES
from history.model import Model
from history.questions import Answer, Listing, One, Question, Teller, Trail, time_of
from history.record import PREFIX

ORDERS = [d + name for name in ("created_at", "updated_at", "email", "name") for d in ("", "-")]
TYPES = ["UserCreatedEvent", "UserUpdatedEvent", "UserLoggedInEvent", "RoleUpdatedEvent"]
_MOST_SHOWN = 5


class Answering(Protocol):
    def answer(self, question: Question) -> Answer: ...


@dataclass
class Verdict:
    """differences: what was asked, and where the answer is another than the model's."""

    comparisons: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


def check(
    model: Model,
    examined: Answering,
    count: int,
    seed: int,
    progress: Callable[[Verdict], None] = lambda _: None,
) -> Verdict:
    """Compare so many answers; after a few differences it ends."""
    verdict, teller, asking = Verdict(), Teller(model), _Asking(random.Random(seed), model)
    for _ in range(count):
        question = asking.question()
        verdict.comparisons[_kind(question)] += 1
        if found := difference(teller.answer(question), examined.answer(question)):
            smaller, found = shrink(question, found, teller, examined)
            verdict.differences.append(f"{described(smaller)}: {found}")
        progress(verdict)
        if len(verdict.differences) == _MOST_SHOWN:
            break
    return verdict


def difference(expected: Answer, found: Answer) -> str | None:
    """The first place where they differ, or None."""
    if expected == found:
        return None
    if isinstance(expected, list) and isinstance(found, list):
        for number, (wanted, got) in enumerate(zip(expected, found, strict=False)):
            if wanted != got:
                return f"row {number}, {_named(wanted)}: {difference(wanted, got)}"
        missing, more = expected[len(found) :], found[len(expected) :]
        return f"{len(found)} rows in place of {len(expected)}; {_named((missing + more)[0])}" + (
            " is missing" if missing else " is too much"
        )
    if isinstance(expected, dict) and isinstance(found, dict):
        names = [n for n in {**expected, **found} if expected.get(n) != found.get(n)]
        return "; ".join(
            f"{n} is {_said(found.get(n))}, not {_said(expected.get(n))}" for n in names
        )
    return f"{_said(found)} in place of {_said(expected)}"


def shrink(
    question: Question, found: str, teller: Answering, examined: Answering
) -> tuple[Question, str]:
    """The same question with as few conditions as still show a difference."""
    for name in ("q", "email", "role", "status", "type", "actor", "since", "until", "subject"):
        if getattr(question, name, None) is not None:
            without: Question = replace(question, **{name: None})  # type: ignore[arg-type]
            if less := difference(teller.answer(without), examined.answer(without)):
                question, found = without, less
    return question, found


def described(question: Question) -> str:
    """As a request."""
    given = {name: value for name, value in vars(question).items() if value is not None}
    for name in ("at", "since", "until"):
        if name in given:
            given[name] = f"{time_of(given[name])} ({given[name]})"
    return f"{type(question).__name__} " + ", ".join(f"{n}={v}" for n, v in given.items())


def _kind(question: Question) -> str:
    match question:
        case One(version=None, at=None):
            return "user now"
        case One(version=None):
            return "user at"
        case One():
            return "user at version"
        case Listing():
            return "list now" if question.at is None else "list at"
        case Trail():
            return "timeline" if question.user else "audit trail"


def _named(row: Any) -> str:
    return str(row.get("id") or row.get("position"))


def _said(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)[:300]


class _Asking:
    def __init__(self, chance: random.Random, model: Model):
        self._chance = chance
        self._users = model.keys("users")
        self._roles = model.keys("roles")
        self._keys = list(model.of_key)
        self._moments = sorted({entry.at for entry in model.entries})
        self._moments_of = {key: [e.at for e in found] for key, found in model.of_key.items()}

    def question(self) -> Question:
        draw = self._chance.random()
        if draw < 0.55:
            return self._one()
        if draw < 0.85:
            return self._listing()
        return self._trail()

    def _one(self) -> One:
        id_ = self._chance.choice(self._keys if self._chance.random() < 0.1 else self._users)
        draw = self._chance.random()
        if draw < 0.05:
            return One(id_)
        if draw < 0.35:
            return One(id_, version=self._chance.randint(1, 12))
        return One(id_, at=self._moment(self._moments_of[id_]))

    def _listing(self) -> Listing:
        return Listing(
            at=None if self._chance.random() < 0.05 else self._moment(self._moments),
            q=self._perhaps(self._parts()),
            email=self._perhaps([*EMAILS, EMAILS[0].upper()]),
            role=self._perhaps([*self._roles, *ROLE_NAMES, "READER"]),
            status=self._perhaps(["active", "suspended"]),
            order_by=self._chance.choice(ORDERS),
            page_size=self._chance.choice((1, 2, 7, 50, 200))
            if self._chance.random() < 0.3
            else 200,
        )

    def _trail(self) -> Trail:
        size = self._chance.choice((7, 50, 200, 200))
        order = self._chance.choice(("recorded_at", "-recorded_at"))
        if self._chance.random() < 0.7:
            return Trail(user=self._chance.choice(self._users), order_by=order, page_size=size)
        first = self._moment(self._moments)
        return Trail(
            subject=self._perhaps([f"users/{id_}" for id_ in self._users]),
            type=self._perhaps([*TYPES, PREFIX + TYPES[0]]),
            actor=self._perhaps(["services/hr", f"users/{self._users[0]}"]),
            since=first,
            until=first + self._chance.randrange(20_000_000),
            order_by=order,
            page_size=size,
        )

    def _moment(self, near: Sequence[int]) -> int:
        """At an event, one millisecond or less beside it, or at random."""
        if self._chance.random() < 0.7:
            beside = (0, 0, 0, -1_000, 1_000, -1, 500)
            return self._chance.choice(near) + self._chance.choice(beside)
        return self._chance.randint(self._moments[0] - 5_000_000, self._moments[-1] + 5_000_000)

    def _parts(self) -> list[str]:
        text = self._chance.choice([*NAMES, *EMAILS])
        start = self._chance.randrange(len(text) or 1)
        part = text[start : start + self._chance.randint(1, 5)]
        return [part or "a", part.upper() or "%", "@EXAMPLE", "%", "_", "\\"]

    def _perhaps(self, values: Sequence[str]) -> str | None:
        return self._chance.choice(values) if self._chance.random() < 0.25 else None
