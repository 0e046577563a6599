"""Whether a history of concurrent operations is linearizable, decided by the versions returned.

A user is a register with a version. A write (a creation, a patch, a deletion) raises it by one;
a patch that changes nothing, a refused If-Match (412) and a 404 of a command read it. A GET reads
some version at least as new as its token's, and a GET without a token any: the read store is
eventually consistent, but it never shows what was not written yet.

The versions give the only order that a linearization can have, so nothing is searched. It exists
if and only if: every version has one writer, and nothing that was invoked after an answer told
version v is of an older one (or, a write, of v itself). A version that no answer acknowledges
must be the work of a command of unknown outcome, which happens at any time after its invocation
or never; each can account for one version. Whether a patch that sets what is set already takes a
version is not judged.

Cost: O(n log n) for sorting the n operations by time and by version; all else is one pass.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from races.answers import contradictions
from races.history import ABSENT, DELETED, Kind, Operation, Violation
from races.unacknowledged import Gap, Unacknowledged


def violations(history: Iterable[Operation]) -> list[Violation]:
    """Everything that no order of the operations explains, user by user; empty: linearizable.

    A 412 that does not tell the version is checked by itself: whether in its interval there was
    another version than its If-Match; not whether all such answers fit together.
    """
    by_user: dict[str, list[Operation]] = defaultdict(list)
    for operation in history:
        by_user[operation.user].append(operation)
    return [found for operations in by_user.values() for found in _User(operations).violations()]


@dataclass(frozen=True, slots=True)
class _Sight:
    """That there was this version at some moment between `invoked` and `responded`."""

    operation: Operation
    version: int
    value: str | None  # None: not told
    invoked: float
    responded: float

    @property
    def must_write(self) -> bool:
        """Of an answer that can only be a write's."""
        o = self.operation
        if o.kind is Kind.PATCH:
            return self.may_write and o.if_match is not None
        return o.succeeded and o.kind in (Kind.CREATE, Kind.DELETE)

    @property
    def may_write(self) -> bool:
        """Also of a patch that may have found set already what it asked for."""
        o = self.operation
        if o.kind is Kind.PATCH:
            changed = o.asked is not None and o.if_match != self.version and self.version > 1
            return o.status == 200 and changed
        return self.must_write


@dataclass(frozen=True, slots=True)
class _Version:
    number: int
    writer: _Sight | None  # None: acknowledged to nobody
    value: str | None
    told_by: _Sight  # the first to be answered with it or a later one


class _User:
    def __init__(self, operations: Sequence[Operation]):
        answered = [o for o in operations if o.responded is not None]
        self._answered = sorted(answered, key=attrgetter("invoked"))
        self._unknown = Unacknowledged(o for o in operations if o.responded is None)
        self._deletion = self._version_of_deletion()
        self._sights = [s for o in self._answered if (s := self._sight(o)) is not None]
        # Operation by identity → what was the newest version told before it was invoked.
        self._before = dict(self._newest_before())
        self._versions = self._by_version()

    def violations(self) -> Iterator[Violation]:
        for operation in self._answered:
            yield from contradictions(operation)
        yield from self._told_twice()
        yield from self._against_time()
        yield from self._after_deletion()
        yield from self._unknown.unexplained(self._gaps())
        yield from self._unjustified()

    def _sight(self, o: Operation) -> _Sight | None:
        assert o.responded is not None
        version, value = self._told(o)
        return None if version is None else _Sight(o, version, value, o.invoked, o.responded)

    def _told(self, o: Operation) -> tuple[int | None, str | None]:
        """The version that the answer is about, and the value that the user has with it."""
        match o.status:
            case 404 if o.deleted:
                return self._deletion, DELETED
            case 404 if o.kind is not Kind.GET:  # the read store may not have heard of the user yet
                return 0, ABSENT
            case 412:
                return o.version, None
            case 200 | 201:
                return o.version, o.seen if o.asked is None else o.asked
            case 204:
                return o.version, DELETED
        return None, None

    def _version_of_deletion(self) -> int | None:
        """As acknowledged; else the first that would explain the answers that tell of one."""
        done = (o.version for o in self._answered if o.kind is Kind.DELETE and o.succeeded)
        if first := min((version for version in done if version), default=None):
            return first
        told = [o.responded for o in self._answered if o.deleted and o.responded is not None]
        newest = max(o.version or 0 for o in self._answered) if told else 0
        tokens = max(o.token_version for o in self._answered) if told else 0
        lowest = max(newest + 1, tokens, 2)
        return self._unknown.deletion(lowest, min(told)) if told else None

    def _newest_before(self) -> Iterator[tuple[int, _Sight | None]]:
        told = sorted(self._sights, key=attrgetter("responded"))
        newest, next_ = None, 0
        for operation in self._answered:
            while next_ < len(told) and told[next_].responded < operation.invoked:
                if newest is None or told[next_].version > newest.version:
                    newest = told[next_]
                next_ += 1
            yield id(operation), newest

    def _floor(self, operation: Operation) -> int:
        newest = self._before[id(operation)]
        return newest.version if newest else 0

    def _by_version(self) -> dict[int, _Version]:
        """The versions that were told, the newest first."""
        found: dict[int, _Version] = {}
        first: _Sight | None = None
        newest_first = sorted(self._sights, key=lambda s: (-s.version, s.invoked))
        for number, group in groupby(newest_first, key=attrgetter("version")):
            sights = list(group)
            first = min([first, *sights] if first else sights, key=attrgetter("responded"))
            writer = self._writer(sights) if number else None
            valued = (s.value for s in sights if s.value is not None)
            value = writer.value if writer else next(valued, None)
            found[number] = _Version(number, writer, value, first)
        return found

    def _writer(self, sights: Sequence[_Sight]) -> _Sight | None:
        """Of several patches that ask for the same, the first invoked can have been the write,
        unless the version was there before."""
        if sure := next((s for s in sights if s.must_write), None):
            return sure
        maybe = next((s for s in sights if s.may_write), None)
        return maybe if maybe and self._floor(maybe.operation) != maybe.version else None

    def _told_twice(self) -> Iterator[Violation]:
        for sight in self._sights:
            version = self._versions[sight.version]
            writer = version.writer
            if sight is writer or sight.version == 0:
                continue
            same = sight.value is None or version.value is None or sight.value == version.value
            if writer and (sight.must_write or (sight.may_write and not same)):
                text = f"version {version.number} was acknowledged to two writes"
                yield _violation("told twice", text, writer.operation, sight.operation)
            elif not same:
                text = f"version {version.number} is {version.value!r}, but was shown otherwise"
                writers = [writer.operation] if writer else []
                yield _violation("another value", text, *writers, sight.operation)

    def _against_time(self) -> Iterator[Violation]:
        for sight in self._sights:
            newest = self._before[id(sight.operation)]
            writes = self._versions[sight.version].writer is sight
            if sight.operation.kind is Kind.GET:
                if sight.version < sight.operation.token_version:
                    yield _violation("read back in time", "its token is newer", sight.operation)
            elif newest and newest.version > sight.version - writes:
                text = (
                    f"version {newest.version} had been told before this was invoked, which "
                    f"{'wrote' if writes else 'found'} version {sight.version}"
                )
                yield _violation("against time", text, newest.operation, sight.operation)

    def _after_deletion(self) -> Iterator[Violation]:
        if self._deletion is None:
            for operation in (o for o in self._answered if o.deleted):
                yield _violation("not deleted", "nobody can have deleted it", operation)
            return
        for sight in self._sights:
            alive = sight.version == self._deletion and sight.operation.status == 412
            if alive or sight.version > self._deletion:
                text = f"the user was deleted at version {self._deletion}, and this is later"
                yield _violation("after deletion", text, sight.operation)

    def _gaps(self) -> Iterator[Gap]:
        """The versions up to the newest that no answer acknowledges, in their order."""
        expected = 1
        for version in reversed(self._versions.values()):
            if version.number < 1 or (self._deletion and version.number > self._deletion):
                continue
            number, told_by = version.number, version.told_by.operation
            if expected < number:
                yield Gap(expected, number - 1, None, told_by)
            if version.writer is None:
                yield Gap(number, number, version.value, told_by)
            expected = number + 1

    def _unjustified(self) -> Iterator[Violation]:
        """412s that do not tell the version, and there was none but the one they wanted."""
        for o in self._answered:
            if o.status != 412 or o.version is not None or o.if_match is None:
                continue
            assert o.responded is not None
            if max(self._floor(o), 1) == o.if_match and not self._follows(o.if_match, o.responded):
                text = f"the version was {o.if_match} all the time"
                yield _violation("unjustified 412", text, o)

    def _follows(self, version: int, by: float) -> bool:
        """Whether a patch can have written the next version by then."""
        known = self._versions.get(version + 1)
        if known and known.writer:
            return known.writer.operation.kind is Kind.PATCH and known.writer.invoked <= by
        return self._unknown.has_patch(by)


def _violation(rule: str, text: str, *operations: Operation) -> Violation:
    named = " and ".join(map(str, operations))
    return Violation(rule, f"user {operations[0].user}: {text}: {named}", operations)
