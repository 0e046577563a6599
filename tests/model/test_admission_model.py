"""The write side's rules hold in every schedule, and each of them is needed."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from model.admission_model import (
    Answer,
    Command,
    Decision,
    Event,
    Folded,
    Store,
    Verdict,
    conflicts,
)
from model.admission_schedules import World, world

SEED = 1
SCHEDULES = 2_000
BOUND = 1_500  # schedules within which a broken rule must show


def violation(kind: type[World], schedules: int) -> str | None:
    """The first violation found, as `schedule: what`."""
    for number in range(schedules):
        one = world(kind, SEED, number)
        one.run()
        if problem := one.check():
            return f"{number}: {problem}"
    return None


def test_no_schedule_violates_a_rule() -> None:
    assert violation(World, SCHEDULES) is None


def test_the_schedules_go_everywhere() -> None:
    """A schedule in which nothing happens proves nothing."""
    worlds = [world(World, SEED, number) for number in range(300)]
    for one in worlds:
        one.run()
    lanes = [lane for one in worlds for lane in one.log.values()]
    copies = sum(len(lane) - len({(e.key, e.id) for e in lane}) for lane in lanes)
    told = [answer for one in worlds for _, answer in one.told]
    repeats = sum(len(one.told) - len({c.id for c, _ in one.told}) for one in worlds)
    assert copies > 200
    assert repeats > 300
    assert len([a for a in told if a.event]) > 1_000
    assert len([a for a in told if a.event is None]) > 50
    assert sum(one.refused for one in worlds) > 1_000
    assert len([one for one in worlds if one.db.timeline]) > 75
    assert len([e for lane in lanes for e in lane if e.command is None]) > 300


class OnlyRows(Store):
    """Check only the read store."""

    def holders(self, email: str | None, by: str) -> set[str]:
        return {k for k, u in self.users.items() if u.live and u.email == email} - {by}


class OnlyAdmissions(Store):
    """Check only the admissions."""

    def holders(self, email: str | None, by: str) -> set[str]:
        return {a.event.key for a in self.unsettled if email and a.event.email == email} - {by}


class TwoAtOnce(Store):
    """Admit while an admission of the aggregate may not be in the log."""

    def is_busy(self, key: str) -> bool:
        return False


class RefusesAtOnce(Store):
    """Refuse because of an unsettled neighbour."""

    def is_final(self, key: str) -> bool:
        return True


class NoDeduplication(Store):
    """Apply, or reject, second copies."""

    def is_second_copy(self, e: Event) -> bool:
        return False


class ForgetsSettled(Store):
    """Drop second copies only until the first has settled."""

    def is_second_copy(self, e: Event) -> bool:
        waiting = any(a.event.id == e.id for a in self.unsettled)
        return waiting and super().is_second_copy(e)


class KeepsDuplicates(Store):
    """Admit a group as it is."""

    def without_duplicates(self, group: Sequence[Decision]) -> list[Decision]:
        return list(group)


class DuplicatesByKeyOnly(Store):
    """Drop groupmates on one aggregate, and not those after one value."""

    def without_duplicates(self, group: Sequence[Decision]) -> list[Decision]:
        return list({d.command.key: d for d in reversed(group)}.values())


class NoCommandIds(Store):
    """Admit a command again that was admitted while this attempt was deciding."""

    def is_known(self, command_id: int) -> bool:
        return False


class AnswersTooEarly(Store):
    """Repeat an answer whose event may not be in the log."""

    def is_in_log(self, answer: Answer) -> bool:
        return True


class KeepsNoAnswerOfNoChange(Store):
    """Decide a command anew that changed nothing the first time."""

    def keep(self, decision: Decision) -> None:
        if decision.event:
            super().keep(decision)


class NoHold(Store):
    """Go on at once after a restore."""

    def is_held(self) -> bool:
        return False


class ShortHold(World):
    """After a restore wait only for the log's end as it is at once."""

    def restore(self) -> None:
        super().restore()
        self.hold_from = self.step


class AppendsTooLate(World):
    """Append what a restore has forgotten more than one delivery timeout after it."""

    def restore(self) -> None:
        super().restore()
        for attempt in self.attempts:
            attempt.until = None


class ByTimeAlone(World):
    """Let the earlier of two holders be found by the append time alone."""

    def conflicts(self, folded: Folded) -> set[str]:
        times = {
            k: replace(u, email_since=(u.email_since[0], 0, 0)) for k, u in folded.users.items()
        }
        return conflicts(times)


def storing(kind: type[Store]) -> type[World]:
    return type(kind.__name__, (World,), {"store": kind, "__doc__": kind.__doc__})


BROKEN = {
    storing(OnlyRows): "two live users with one e-mail",
    storing(OnlyAdmissions): "two live users with one e-mail",
    storing(TwoAtOnce): "an admitted event was rejected",
    storing(RefusesAtOnce): "refused without a reason in the log",
    storing(NoDeduplication): "the read store is not the fold of the log",
    storing(ForgetsSettled): "the read store is not the fold of the log",
    storing(KeepsDuplicates): "one command id, two events",
    storing(DuplicatesByKeyOnly): "one command id, two events",
    storing(NoCommandIds): "refused, and yet admitted before",
    storing(AnswersTooEarly): "acknowledged but not in the log",
    storing(KeepsNoAnswerOfNoChange): "one command id, two answers",
    storing(NoHold): "refused without a reason in the log",
    ShortHold: "two live users with one e-mail",
    AppendsTooLate: "two live users with one e-mail",
    ByTimeAlone: "interleavings differ",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda kind: kind.__name__)
def test_a_broken_rule_is_found(broken: type[World]) -> None:
    problem = violation(broken, BOUND)
    assert problem is not None
    assert BROKEN[broken] in problem


def admitted(store: Store, command: Command) -> Event:
    """The event of a command that is admitted by itself, and known to be in the log."""
    decision = store.consider(command, command.id)
    assert isinstance(decision, Decision)
    assert decision.event
    assert store.admit([decision]) == [Verdict.ADMITTED]
    store.mark_appended(decision.event.id)
    return decision.event


class OutlivesRestores(Store):
    """Admit what was decided on a store that was replaced since."""

    def is_current(self, d: Decision) -> bool:
        return True


@pytest.mark.parametrize(
    ("kind", "verdict"), [(Store, Verdict.AGAIN), (OutlivesRestores, Verdict.ADMITTED)]
)
def test_no_decision_outlives_a_restore(kind: type[Store], verdict: Verdict) -> None:
    """It takes a stall longer than the hold, too rare for random schedules: version 2, on which
    it was decided, was lost, and version 2 is now the deletion of the user."""
    store = kind()
    store.project(0, admitted(store, Command(1, "a", "created", "x")))
    older = store.backup()
    admitted(store, Command(2, "a", "email_changed", "y"))
    stalled = store.consider(Command(3, "a", "email_changed", "z"), 3)
    store = older
    store.timeline = store.followed = 1  # restored, and the hold is over
    admitted(store, Command(4, "a", "deleted"))
    assert isinstance(stalled, Decision)
    assert store.admit([stalled]) == [verdict]
