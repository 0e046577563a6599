"""What the gateway did not give out is refused, and merging forgets nothing."""

import base64
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from rollcall_gateway.bodies import ListUsers
from rollcall_gateway.tokens import (
    ConsistencyTokens,
    InvalidTokenError,
    PageTokens,
    Positions,
    Seal,
    question_of,
)

SECRET = b"a secret of the tests, and long enough"
TOKENS, PAGES = ConsistencyTokens(SECRET), PageTokens(SECRET)

offsets = st.dictionaries(st.integers(0, 49), st.integers(0, 2**63 - 1), max_size=50)
positions = st.builds(Positions, st.text(max_size=30), offsets)
same_topic = st.builds(Positions, st.just("topic"), offsets)


@given(positions)
def test_a_token_says_what_was_written(written: Positions) -> None:
    assert TOKENS.read(TOKENS.write(written)) == written


@given(positions, st.integers(0, 10_000), st.integers(1, 255))
def test_any_change_of_the_bytes_is_refused(written: Positions, place: int, bits: int) -> None:
    token = TOKENS.write(written)
    sealed = bytearray(base64.urlsafe_b64decode(token + "=="))
    sealed[place % len(sealed)] ^= bits
    with pytest.raises(InvalidTokenError):
        TOKENS.read(base64.urlsafe_b64encode(sealed).rstrip(b"=").decode())


@given(positions, st.integers(0, 10_000), st.characters())
def test_any_change_of_the_text_is_refused(written: Positions, place: int, other: str) -> None:
    token = TOKENS.write(written)
    place %= len(token)
    assume(token[place] != other)
    with pytest.raises(InvalidTokenError):
        TOKENS.read(token[:place] + other + token[place + 1 :])


@given(st.text())
@example("")
@example("A")
@example("A" * 22)
@example("\ud800")
def test_noise_is_refused(noise: str) -> None:
    with pytest.raises(InvalidTokenError):
        TOKENS.read(noise)
    with pytest.raises(InvalidTokenError):
        PAGES.read(noise, b"")


@given(positions)
def test_the_same_bytes_in_another_spelling_are_refused(written: Positions) -> None:
    token = TOKENS.write(written)
    for spelling in (token + "=", token + "\n", " " + token, token[:4] + "\n" + token[4:]):
        with pytest.raises(InvalidTokenError):
            TOKENS.read(spelling)


def test_tokens_of_another_purpose_or_secret_are_refused() -> None:
    token = TOKENS.write(Positions("topic", {1: 2}))
    for reader in (Seal(SECRET, "page token"), Seal(SECRET * 2, "consistency token")):
        with pytest.raises(InvalidTokenError):
            reader.open(token)


@given(same_topic, same_topic, same_topic)
def test_merging_is_commutative_associative_and_idempotent(
    a: Positions, b: Positions, c: Positions
) -> None:
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(a) == a


@given(same_topic, same_topic)
def test_a_merged_token_forgets_no_position(a: Positions, b: Positions) -> None:
    merged = a.merge(b).offsets
    assert merged.keys() == a.offsets.keys() | b.offsets.keys()
    for known in (a, b):
        assert all(merged[p] >= offset for p, offset in known.offsets.items())


def test_positions_of_different_topics_are_not_merged() -> None:
    with pytest.raises(ValueError, match="different topics"):
        Positions("a", {}).merge(Positions("b", {}))


def test_a_token_of_all_partitions_is_a_modest_header() -> None:
    everywhere = Positions("x" * 22, dict.fromkeys(range(50), 2**63 - 1))
    assert len(TOKENS.write(everywhere)) < 1000


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=50), st.binary(max_size=50))
def test_a_cursor_continues_only_its_own_question(cursor: bytes, asked: bytes, now: bytes) -> None:
    token = PAGES.write(cursor, asked)
    assert token is not None
    assert PAGES.read(token, asked) == cursor
    assume(asked != now)
    with pytest.raises(InvalidTokenError):
        PAGES.read(token, now)


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"page_size": 7}, True),
        ({"page_token": "x"}, True),
        ({"order_by": "created_at"}, True),
        ({"order_by": "name"}, False),
        ({"q": ""}, False),
        ({"email": "a"}, False),
        ({"role": "a"}, False),
        ({"status": "active"}, False),
    ],
)
def test_a_question_is_its_filters_and_order(changed: dict[str, Any], same: bool) -> None:
    asked = question_of("users", ListUsers(**changed))
    assert (asked == question_of("users", ListUsers())) is same
    assert asked != question_of("roles", ListUsers(**changed))
