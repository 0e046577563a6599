"""Histories that a reader can check by hand."""

from races.history import Kind, Operation
from races.linearizability import violations

CREATED = Operation("ada", Kind.CREATE, "u", 0, 1, 201, 1, asked="first")


def _patch(
    start: float, end: float | None, version: int, asked: str, if_match: int | None = None
) -> Operation:
    """end: None for an unknown outcome."""
    status, told = (None, None) if end is None else (200, version)
    return Operation("bob", Kind.PATCH, "u", start, end, status, told, if_match, asked)


def _read(start: float, version: int, seen: str, token_version: int = 0) -> Operation:
    return Operation(
        "eve", Kind.GET, "u", start, start + 1, 200, version, seen=seen, token_version=token_version
    )


def _rules(*history: Operation) -> list[str]:
    return [found.rule for found in violations(history)]


def test_a_command_of_unknown_outcome_explains_one_gap() -> None:
    lost = _patch(2, None, 0, "lost")
    assert _rules(CREATED, lost, _patch(4, 5, 3, "third")) == []
    assert _rules(CREATED, lost, _patch(4, 5, 4, "fourth")) == ["gap"]
    assert _rules(CREATED, _patch(4, 5, 3, "third")) == ["gap"]


def test_it_need_not_have_happened_but_not_before_it_was_invoked() -> None:
    assert _rules(CREATED, _patch(2, None, 0, "lost"), _patch(4, 5, 2, "second")) == []
    assert _rules(CREATED, _patch(2, 3, 3, "third"), _patch(4, None, 0, "later")) == ["gap"]


def test_it_explains_only_what_it_asked_for() -> None:
    lost = _patch(2, None, 0, "lost")
    assert _rules(CREATED, lost, _read(4, 2, "lost")) == []
    assert _rules(CREATED, lost, _read(4, 2, "something else")) == ["gap"]
    conditional = _patch(2, None, 0, "lost", if_match=2)
    assert _rules(CREATED, conditional, _read(4, 2, "lost")) == ["gap"]


def test_it_may_have_happened_in_the_moment_of_its_invocation() -> None:
    assert _rules(CREATED, _patch(2, 3, 3, "third"), _patch(3, None, 0, "lost")) == []


def test_each_explains_the_gap_that_no_other_can() -> None:
    early, late = _patch(2, None, 0, "same"), _patch(6, None, 0, "same")
    third, fourth = _patch(4, 5, 3, "third"), _read(7, 4, "same")
    assert _rules(CREATED, early, third, late, fourth) == []
    conditional, other = _patch(2, None, 0, "a", if_match=1), _patch(2, None, 0, "b")
    assert _rules(CREATED, conditional, other, _patch(4, 5, 4, "fourth")) == []


def test_a_patch_may_repeat_what_one_of_unknown_outcome_did() -> None:
    lost, seen = _patch(2, None, 0, "lost"), _read(3, 2, "lost")
    assert _rules(CREATED, lost, seen, _patch(5, 6, 2, "lost")) == []
    assert _rules(CREATED, seen, _patch(5, 6, 2, "lost")) == ["gap"]


def test_a_read_may_be_stale_but_not_older_than_its_token() -> None:
    second = _patch(2, 3, 2, "second")
    assert _rules(CREATED, second, _read(4, 1, "first")) == []
    assert _rules(CREATED, second, _read(4, 1, "first", token_version=1)) == []
    assert _rules(CREATED, second, _read(4, 1, "first", token_version=2)) == ["read back in time"]


def test_a_patch_that_changes_nothing_reads_the_version() -> None:
    second, same = _patch(2, 3, 2, "second"), _patch(4, 5, 2, "second")
    assert _rules(CREATED, second, same) == []
    assert _rules(CREATED, second, _patch(4, 5, 2, "other")) == ["told twice"]


def test_the_users_are_looked_at_by_themselves() -> None:
    other = Operation("bob", Kind.PATCH, "another", 2, 3, 200, 3, asked="third")
    assert _rules(CREATED, other) == ["gap"]


def test_an_explanation_names_the_operations() -> None:
    third, second = _patch(2, 3, 3, "third"), _patch(4, 5, 2, "second")
    (found,) = violations([CREATED, third, second])
    assert list(found.operations) == [third, second]
    assert str(found) == (
        "against time: user u: version 3 had been told before this was invoked, which wrote "
        "version 2: [bob: PATCH 'third', 200 version 3, 2.000000 to 3.000000 s] and "
        "[bob: PATCH 'second', 200 version 2, 4.000000 to 5.000000 s]"
    )
