"""What compares the platform with the model sees every difference, and none where there is none."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from model.check import check, settings_for
from model.counts import Counts
from model.platform_model import Aggregate, Body, Command, Expected, Outcome, Rules, State
from model.remote import Remote
from model.run import Difference, Run
from model.standin import StandIn

RUNS, STEPS, SEED = 30, 25, 3


def compare(platform: StandIn, runs: int = RUNS) -> Counts:
    """Raises a Difference."""
    counts = Counts()
    with platform.client() as http:

        def start() -> Run:
            return Run(Remote(http), Rules(), counts, resolved_within=0.2)

        check(start, SEED, settings_for(runs, STEPS, shrink=False))
    return counts


def test_a_platform_that_follows_the_model_shows_no_difference() -> None:
    counts = compare(StandIn(Rules()))
    assert counts.differences == 0
    assert counts.runs >= RUNS
    assert counts.steps / counts.runs > 0.7 * STEPS


def test_lost_answers_are_resolved() -> None:
    def lost(number: int) -> str:
        return {5: "before", 11: "after"}.get(number % 14, "")

    counts = compare(StandIn(Rules(), lost), runs=10)
    assert counts.differences == 0
    assert counts.of("unknown") > 10


class DeletionKeepsEmail(Rules):
    def holder_of_email(self, state: State, email: str, but: str) -> str | None:
        others = [u for u in state.users.values() if u.id != but]
        return next((u.id for u in others if u.fields["email"].lower() == email.lower()), None)


class LetterCaseMatters(Rules):
    def holder_of_name(self, state: State, name: str, but: str) -> str | None:
        others = [r for r in state.roles.values() if r.live and r.id != but]
        return next((r.id for r in others if r.fields["name"] == name), None)


class IgnoresIfMatch(Rules):
    def perform(self, state: State, command: Command) -> Outcome:
        return super().perform(state, replace(command, if_match=None))


class RaisesVersionForNothing(Rules):
    def patch_user(self, state: State, command: Command, user: Aggregate) -> Outcome:
        expected, after = super().patch_user(state, command, user)
        if expected.version != user.version or expected.problem:
            return expected, after
        user = user.changed()
        return Expected(200, user.version, self.accepted(user)), after.with_user(user)


class ForgetsKeys(Rules):
    def perform(self, state: State, command: Command) -> Outcome:
        expected, after = super().perform(replace(state, keys={}), command)
        return expected, replace(after, keys={**state.keys, **after.keys})


class TakesAnyBodyForAKey(Rules):
    def perform(self, state: State, command: Command) -> Outcome:
        earlier = state.keys.get((command.kind, command.key or ""))
        return super().perform(state, replace(command, body=earlier[0]) if earlier else command)


class KeepsWhatWasNulled(Rules):
    def patch_user(self, state: State, command: Command, user: Aggregate) -> Outcome:
        attributes = command.body.get("attributes")
        if isinstance(attributes, dict):
            kept = {name: value for name, value in attributes.items() if value is not None}
            command = replace(command, body={**command.body, "attributes": kept})
        return super().patch_user(state, command, user)


class ShowsRolesAsAssigned(Rules):
    def read_user(self, state: State, id_: str) -> Expected:
        expected = super().read_user(state, id_)
        return (
            replace(expected, body=self.accepted(state.users[id_])) if expected.body else expected
        )


class ListsTheDeleted(Rules):
    def listed(self, state: State, noun: str, filters: Mapping[str, str]) -> list[Body]:
        if noun == "role":
            return super().listed(state, noun, filters)
        revived = {u.id: replace(u, live=True) for u in state.users.values()}
        return super().listed(replace(state, users=revived), noun, filters)


class LetsAdminBeRenamed(Rules):
    def patch_role(self, state: State, command: Command, role: Aggregate) -> Outcome:
        expected, after = super().patch_role(state, command, role)
        if expected.problem != "role-protected":
            return expected, after
        return Expected(200, role.version, role.shown()), state


BROKEN = (
    DeletionKeepsEmail,
    LetterCaseMatters,
    IgnoresIfMatch,
    RaisesVersionForNothing,
    ForgetsKeys,
    TakesAnyBodyForAKey,
    KeepsWhatWasNulled,
    ShowsRolesAsAssigned,
    ListsTheDeleted,
    LetsAdminBeRenamed,
)


@pytest.mark.parametrize("broken", BROKEN)
def test_a_platform_that_differs_is_found(broken: type[Rules]) -> None:
    with pytest.raises(Difference):
        compare(StandIn(broken()))
