"""Commands of unknown outcome: which of the versions that nobody was told can be their work."""

from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from races.history import DELETED, Kind, Operation, Violation


@dataclass(frozen=True, slots=True)
class Gap:
    """Versions that no answer acknowledges."""

    first: int
    last: int
    value: str | None  # as a read showed it; None: not shown
    told_by: Operation  # the first to be answered with one of them or a later one

    @property
    def kind(self) -> Kind:
        """Of the only command that can have written it."""
        if self.first == 1:
            return Kind.CREATE
        return Kind.DELETE if self.value == DELETED else Kind.PATCH


class Unacknowledged:
    """Those of one user."""

    def __init__(self, operations: Iterable[Operation]):
        self._writes = sorted((o for o in operations if _writes(o)), key=attrgetter("invoked"))
        self._first_patch = min(
            (o.invoked for o in self._writes if o.kind is Kind.PATCH), default=float("inf")
        )

    def has_patch(self, by: float) -> bool:
        """Whether one was invoked by then."""
        return self._first_patch <= by

    def deletion(self, lowest: int, by: float) -> int | None:
        """The first version from `lowest` on that a deletion invoked by then can have."""
        versions = (
            lowest if o.if_match is None else o.if_match + 1
            for o in self._writes
            if o.kind is Kind.DELETE and o.invoked <= by
        )
        return min((version for version in versions if version >= lowest), default=None)

    def unexplained(self, gaps: Iterable[Gap]) -> Iterator[Violation]:
        """The gaps, given in their order, that are left when each write fills as much as it can.

        A gap whose value is known has fewer writes to choose from, so those go first. Of several
        writes that fit, the last invoked fills it: one that is in time for a gap is in time for
        all later ones, and one invoked earlier may be needed before.
        """
        single: list[Gap] = []
        for gap in gaps:
            if gap.last - gap.first >= len(self._writes):
                yield self._violation(gap)
            else:
                numbers = range(gap.first, gap.last + 1)
                single += (Gap(n, n, gap.value, gap.told_by) for n in numbers)
        used: set[int] = set()
        yield from self._fill([g for g in single if g.value is not None], used, valued=True)
        yield from self._fill([g for g in single if g.value is None], used, valued=False)

    def _fill(self, gaps: Sequence[Gap], used: set[int], *, valued: bool) -> Iterator[Violation]:
        left = deque(o for o in self._writes if id(o) not in used)
        fitting: dict[Hashable, list[Operation]] = defaultdict(list)
        for gap in gaps:
            assert gap.told_by.responded is not None
            while left and left[0].invoked <= gap.told_by.responded:
                write = left.popleft()
                fitting[write.kind, _value(write) if valued else None, write.if_match].append(write)
            # A conditional write can fill no other gap.
            for if_match in (gap.first - 1, None):
                if candidates := fitting[gap.kind, gap.value, if_match]:
                    used.add(id(candidates.pop()))
                    break
            else:
                yield self._violation(gap)

    def _violation(self, gap: Gap) -> Violation:
        versions = f"{gap.first}" if gap.first == gap.last else f"{gap.first} to {gap.last}"
        value = "" if gap.value is None else f" ({gap.value!r})"
        text = (
            f"user {gap.told_by.user}: version {versions}{value} was acknowledged to nobody, and "
            f"the {len(self._writes)} writes of unknown outcome do not explain it: {gap.told_by}"
        )
        return Violation("gap", text, [gap.told_by])


def _writes(operation: Operation) -> bool:
    if operation.kind is Kind.PATCH:
        return operation.asked is not None
    return operation.kind is not Kind.GET


def _value(operation: Operation) -> str | None:
    return DELETED if operation.kind is Kind.DELETE else operation.asked
