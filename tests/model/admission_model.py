"""The write side (design sections 4 and 5) as a program: what is decided, admitted and projected.

It is the specification that the services' behaviour is compared with, not code to import.
`admission_schedules` runs it in random schedules, with a crash or a long stall at every step.

Aggregates live in partitions by key. A command is decided on the newest state, admitted (one
transaction, with others: version, claim, command id, event, answer), appended, acknowledged,
marked appended. Recovery appends an admission again that is not known to be in the log, from any
replica, as often as it likes. Outside publishers append without admission. The projection takes
partitions in any interleaving, applies an event of a key once, and settles. A restored store
admits nothing until the projection has passed the log's end as it is one delivery timeout later.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

Position = tuple[int, int, int]  # append time (ties happen), partition, offset


@dataclass(frozen=True)
class Event:
    id: int
    key: str
    type: str  # created, email_changed, deleted
    email: str | None = None
    sequence: int | None = None  # the version as admitted; None: published from outside
    command: int | None = None  # the command's id; None: published from outside
    position: Position = (0, 0, 0)


@dataclass(frozen=True)
class User:
    version: int = 0
    live: bool = False
    email: str | None = None
    email_since: Position = (0, 0, 0)


def decide(user: User, type_: str) -> bool:
    """The rules of one aggregate: all that the order inside a partition can settle."""
    return user.version == 0 if type_ == "created" else user.live


def evolve(user: User, e: Event) -> User:
    if e.type == "deleted":
        return User(user.version + 1)
    since = user.email_since if user.email == e.email else e.position
    return User(user.version + 1, True, e.email, since)


@dataclass
class Folded:
    """What the log says: users, each one's events in version order, ids of rejected events."""

    users: dict[str, User] = field(default_factory=dict)
    history: dict[str, list[Event]] = field(default_factory=dict)
    rejected: set[int] = field(default_factory=set)


def fold(order: Iterable[Event]) -> Folded:
    folded = Folded()
    seen: set[tuple[str, int]] = set()
    for e in order:
        if (e.key, e.id) in seen:
            continue
        seen.add((e.key, e.id))
        user = folded.users.get(e.key, User())
        if decide(user, e.type):
            folded.users[e.key] = evolve(user, e)
            folded.history.setdefault(e.key, []).append(e)
        else:
            folded.rejected.add(e.id)  # it takes no version and the sequence goes on
    return folded


def conflicts(users: dict[str, User]) -> set[str]:
    """A rule across aggregates is derived from the state, never enforced by order of reading."""
    holder: dict[str | None, str] = {}
    for key, user in sorted(users.items(), key=lambda kv: kv[1].email_since):
        if user.live:
            holder.setdefault(user.email, key)
    return {k for k, u in users.items() if u.live and holder[u.email] != k}


@dataclass(frozen=True)
class Command:
    id: int  # the same in every repeat; a repeated creation may come with another generated key
    key: str
    type: str
    email: str | None = None


@dataclass(frozen=True)
class Answer:
    """What a command is told, now and whenever it is repeated. event: None: nothing changed."""

    key: str
    version: int
    event: int | None = None


@dataclass(frozen=True)
class Decision:
    """What follows from a state; event: None: nothing changes. timeline: the store's, then."""

    command: Command
    version: int
    event: Event | None
    timeline: int

    @property
    def answer(self) -> Answer:
        if self.event is None:
            return Answer(self.command.key, self.version)
        return Answer(self.event.key, self.version + 1, self.event.id)


class Verdict(Enum):
    ADMITTED = "admitted"  # or, where nothing changes, its answer is kept
    REFUSED = "refused"
    AGAIN = "decide again"


@dataclass(frozen=True)
class Admission:
    event: Event
    appended: bool = False  # known to be in the log


@dataclass
class Store:
    """Postgres. Each method is one statement or one transaction: a schedule breaks in nowhere.

    kept: the answers of admitted commands and of those that changed nothing, by command id.
    timeline, followed: a restore makes the first differ; they are equal again once the hold ends.
    """

    users: dict[str, User] = field(default_factory=dict)
    seen: set[tuple[str, int]] = field(default_factory=set)
    rejected: set[int] = field(default_factory=set)
    offsets: dict[int, int] = field(default_factory=dict)
    unsettled: list[Admission] = field(default_factory=list)
    kept: dict[int, Answer] = field(default_factory=dict)
    timeline: int = 0
    followed: int = 0

    # --- the newest state, and the decision on it --------------------------------------------

    def of(self, key: str) -> list[Admission]:
        return [a for a in self.unsettled if a.event.key == key]

    def newest(self, key: str) -> User:
        """The read store's row, and on it the admitted events that it has not seen yet."""
        user = self.users.get(key, User())
        for a in self.of(key):
            if decide(user, a.event.type):
                user = evolve(user, a.event)
        return user

    def is_busy(self, key: str) -> bool:
        """Whether an admission of the aggregate is not known to be in the log."""
        return any(not a.appended for a in self.of(key))

    def is_final(self, key: str) -> bool:
        """Whether a command may be refused because of this aggregate: else it waits for it."""
        return not self.of(key)

    def is_held(self) -> bool:
        """Whether the store was restored, and may not know yet all that is in the log."""
        return self.timeline != self.followed

    def consider(self, command: Command, event_id: int) -> Answer | Decision | Verdict:
        """An answer kept from before, a refusal, or a decision that remains to be admitted."""
        if answer := self.kept.get(command.id):
            return answer if self.is_in_log(answer) else Verdict.AGAIN
        if self.is_held():
            return Verdict.AGAIN
        user = self.newest(command.key)
        if not decide(user, command.type):
            return Verdict.REFUSED if self.is_final(command.key) else Verdict.AGAIN
        if command.type == "email_changed" and command.email == user.email:
            if self.is_busy(command.key):
                return Verdict.AGAIN  # what it would be told is not known to be in the log
            return Decision(command, user.version, None, self.timeline)
        event = Event(
            event_id, command.key, command.type, command.email, user.version + 1, command.id
        )
        return Decision(command, user.version, event, self.timeline)

    def is_in_log(self, answer: Answer) -> bool:
        return all(a.appended for a in self.unsettled if a.event.id == answer.event)

    # --- admission ---------------------------------------------------------------------------

    def admit(self, group: Sequence[Decision]) -> list[Verdict]:
        """One transaction for the group: all is checked by one statement, then all is stored."""
        first = self.without_duplicates(group)
        verdicts = [
            self._verdict(d) if any(d is f for f in first) else Verdict.AGAIN for d in group
        ]
        for decision, verdict in zip(group, verdicts, strict=True):
            if verdict is Verdict.ADMITTED:
                self.keep(decision)
                if decision.event:
                    self.unsettled.append(Admission(decision.event))
        return verdicts

    def keep(self, decision: Decision) -> None:
        self.kept[decision.command.id] = decision.answer

    def without_duplicates(self, group: Sequence[Decision]) -> list[Decision]:
        """The statement sees nothing of the group itself, so the later of two are left out."""
        first: list[Decision] = []
        taken: set[tuple[str, object]] = set()
        for d in group:
            needs = {("command", d.command.id), ("key", d.command.key)}
            needs |= {("email", d.command.email)} if d.command.email else set()
            if not needs & taken:
                first.append(d)
                taken |= needs
        return first

    def _verdict(self, d: Decision) -> Verdict:
        if self.is_known(d.command.id) or self.is_held() or not self.is_current(d):
            return Verdict.AGAIN
        if d.event is None:
            return Verdict.ADMITTED
        if self.is_busy(d.event.key) or self.newest(d.event.key).version != d.version:
            return Verdict.AGAIN
        if holders := self.holders(d.event.email, d.event.key):
            return Verdict.REFUSED if any(map(self.is_final, holders)) else Verdict.AGAIN
        return Verdict.ADMITTED

    def is_known(self, command_id: int) -> bool:
        return command_id in self.kept

    def is_current(self, d: Decision) -> bool:
        """A version number says nothing about a store that was replaced since."""
        return d.timeline == self.timeline

    def holders(self, email: str | None, by: str) -> set[str]:
        """Others that have the value, by admission or by row; an admission is the claim."""
        claims = {a.event.key for a in self.unsettled if email and a.event.email == email}
        rows = {k for k, u in self.users.items() if u.live and u.email == email}
        return (claims | rows) - {by}

    def mark_appended(self, event_id: int) -> None:
        self.unsettled = [
            replace(a, appended=True) if a.event.id == event_id else a for a in self.unsettled
        ]

    # --- projection, and restore -------------------------------------------------------------

    def project(self, partition: int, e: Event) -> None:
        """One record: rows, rejections, offset and settlement in one transaction."""
        self.offsets[partition] = self.offsets.get(partition, 0) + 1
        if self.is_second_copy(e):
            return
        self.seen.add((e.key, e.id))
        user = self.users.get(e.key, User())
        if decide(user, e.type):
            self.users[e.key] = evolve(user, e)
        else:
            self.rejected.add(e.id)
        self.unsettled = [a for a in self.unsettled if a.event.id != e.id]

    def is_second_copy(self, e: Event) -> bool:
        """However late it comes."""
        return (e.key, e.id) in self.seen

    def backup(self) -> "Store":
        return replace(
            self,
            users=dict(self.users),
            seen=set(self.seen),
            rejected=set(self.rejected),
            offsets=dict(self.offsets),
            unsettled=list(self.unsettled),
            kept=dict(self.kept),
        )
